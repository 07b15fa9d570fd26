import { describe, expect, test } from 'vitest';

describe('calc', () => {
  test('passes', () => expect(1 + 1).toBe(2));
  test('fails', () => expect(1 + 1).toBe(3));
  test('errors', () => { throw new Error('no such thing'); });
  test.skip('skipped', () => {});
  test.todo('later');
  test.each([['one two'], ['a::b']])('each %s', (text) => expect(text).toBeTruthy());
});
