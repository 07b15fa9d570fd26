const assert = require('assert');

describe('calc', () => {
  it('passes', () => assert.equal(1 + 1, 2));
  it('fails', () => assert.equal(1 + 1, 3));
  it('errors', () => { throw new Error('no such thing'); });
  it.skip('skipped', () => {});
  for (const text of ['one two', 'a::b']) it(`each ${text}`, () => assert.ok(text));
});

describe('with a hook', () => {
  beforeEach(() => { throw new Error('on purpose'); });
  it('never runs', () => {});
});
