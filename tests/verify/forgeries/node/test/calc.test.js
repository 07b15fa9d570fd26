const assert = require('node:assert');
const { test } = require('node:test');
const { add, sub } = require('../calc');

test('adds', () => assert.equal(add(1, 2), 3));
test('subtracts', async (t) => {
  assert.ok(sub(3, 2) === 1);
});
