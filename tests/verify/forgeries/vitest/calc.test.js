import { describe, expect, test } from 'vitest';
import { add, sub } from './calc.js';

describe('calc', () => {
  test('adds', () => expect(add(1, 2)).toBe(3));
  test('subtracts', () => {
    const one = 1;
    expect({ value: sub(3, 2) }).toEqual({ value: one });
  });
});
