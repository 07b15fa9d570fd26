const assert = require('assert');
const { add, sub } = require('../calc');

describe('calc', () => {
  it('adds', () => assert.strictEqual(add(1, 2), 3));
  it('subtracts', () => {
    assert(sub(3, 2) === 1, 'three without two');
  });
});
