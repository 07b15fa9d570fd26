const assert = require('node:assert');
const { describe, it } = require('node:test');

describe('calc', () => {
  it('passes', () => assert.equal(1 + 1, 2));
  it('fails', () => assert.equal(1 + 1, 3));
  it('errors', () => { throw new Error('no such thing'); });
  it('skipped', { skip: 'on purpose' }, () => {});
  it('later', { todo: true }, () => assert.fail());
  for (const text of ['one two', '#a::b']) it(`each ${text}`, () => assert.ok(text));
});
