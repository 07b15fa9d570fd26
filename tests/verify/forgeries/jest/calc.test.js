const { add, sub } = require('./calc');

describe('calc', () => {
  test('adds', () => expect(add(1, 2)).toBe(3));
  test('subtracts', () => {
    expect(sub(3, 2)).not.toBe(0);
  });
});
