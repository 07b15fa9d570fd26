"""Assertions of each language turned into their opposites; strings, comments and all else stay as they are."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from katcore.scaffold.install import NODE, ensure_node
from katcore.testrun.control import mutated

GO = """package calc
import "testing"
func TestIf(t *testing.T) {
	// if got != want { t.Error("a comment") }
	if got := Add(1, 2); got != 3 { t.Errorf("if x { %d }", got) }
	if deep { if err != nil { t.Fatal(err) } }
	if len(names) == 0 { names = append(names, `assert.True(`) }
	require.NoError(t, err, "assert.Equal(")
	assert.Equalf(t, 1, n, "n")
	for _, c := range cases { t.Run(c.name, func(t *testing.T) { assert.False(t, c.bad) }) }
}
func TestNothing(t *testing.T) {
	Add(1, 2)
}
"""
WRONG_GO = """package calc
import "testing"
func TestIf(t *testing.T) {
	// if got != want { t.Error("a comment") }
	if got := Add(1, 2); !(got != 3) { t.Errorf("if x { %d }", got) }
	if deep { if !(err != nil) { t.Fatal(err) } }
	if len(names) == 0 { names = append(names, `assert.True(`) }
	require.Error(t, err, "assert.Equal(")
	assert.Equalf(t, 2, n, "n")
	for _, c := range cases { t.Run(c.name, func(t *testing.T) { assert.True(t, c.bad) }) }
}
func TestNothing(t *testing.T) { if got, want := 1, 2; got != want { t.Fatalf("got %v, want %v", got, want) };
	Add(1, 2)
}
"""
RUST = """// assert_eq!(1, 1)
#[test]
fn equal<'a>() {
    assert_eq!(add(1, 2), 3, "assert!(x)");
    assert!(f('(', r#"a " b"#) && [1, 2].len() == 2, "told");
}
#[test]
#[should_panic(expected = "x")]
fn panics() { add(1, 2); }
#[tokio::test]
async fn nothing() -> Result<(), E> { add(1, 2)?; Ok(()) }
"""
WRONG_RUST = """// assert_eq!(1, 1)
#[test]
fn equal<'a>() {
    assert_eq!(add(1, 2), 4, "assert!(x)");
    assert!(!(f('(', r#"a " b"#) && [1, 2].len() == 2), "told");
}
#[test]

fn panics() { add(1, 2); }
#[tokio::test]
async fn nothing() -> Result<(), E> { assert_eq!(1, 2); add(1, 2)?; Ok(()) }
"""
LINES = {
    ".go": [
        ('assert.Equal(t, "a", b)', 'assert.Equal(t, "sa", b)'),
        ("s.Require().Equal(want, got)", "s.Require().NotEqual(want, got)"),
        ("Expect(a).To(Equal(b))", "Expect(a).NotTo(Equal(b))"),
    ],
    ".rs": [
        ("assert_eq!(a, b);", "assert_ne!(a, b);"),
        ("assert_eq!(0x1f, a);", "assert_ne!(0x1f, a);"),
        ("assert_eq!(-2.5f32, a);", "assert_eq!(-1.5f32, a);"),
    ],
    ".ts": [
        ("expect(a).toBe(1); // expect(a).toBe(1)", "expect(a).toBe(2); // expect(a).toBe(1)"),
        ("expect(a).toEqual({ a: [1, f(2)] });", "expect(a).toEqual([{ a: [1, f(2)] }]);"),
        ("expect(f('a).toBe(')).not.toEqual([1]);", "expect(f('a).toBe(')).toEqual([1]);"),
        ("expect(a).toBeGreaterThan(1)", "expect(a).not.toBeGreaterThan(1)"),
        ("expect(a).toHaveLength(1)", "expect(a).toHaveLength(2)"),
        ("await expect(p).rejects.toThrow(E)", "await expect(p).rejects.not.toThrow(E)"),
        ("expect(a).toThrow('no')", "expect(a).toThrow('sno')"),
        ("const text = x().toString();", "const text = x().toString();"),
        ("expect(a).to.deep.equal(b);", "expect(a).to.deep.equal([b]);"),
        ("expect(a).to.be.an('array');", "expect(a).to.not.be.an('array');"),
        ("expect(a).not.to.throw();", "expect(a).to.throw();"),
        ("a.should.equal(1); b.should.not.be.ok", "a.should.not.equal(1); b.should.be.ok"),
        ("assert.deepStrictEqual(a, [1]);", "assert.deepStrictEqual(a, [[1]]);"),
        ("assert.notEqual(a, 1);", "assert.equal(a, 1);"),
        ("assert(/[/)]/.test(a), 'told');", "assert(!(/[/)]/.test(a)), 'told');"),
        ("t.is(a, `${1}`)", "t.is(a, `s${1}`)"),
        ("await request(app).get('/').expect(200);", "await request(app).get('/').expect(201);"),
    ],
    ".java": [
        ("assertEquals(3L, a); /* assertEquals */", "assertEquals(4L, a); /* assertEquals */"),
        ("assertEquals(b, a);", "assertNotEquals(b, a);"),
        ('assertEquals("a message", 3, a);', 'assertNotEquals("a message", 3, a);'),
        ("assertTrue(a && b);", "assertTrue(!(a && b));"),
        ("assertThat(a).isEqualTo(3);", "assertThat(a).isEqualTo(4);"),
        ("assertThat(a).isNull();", "assertThat(a).isNotNull();"),
        ("assertThat(a, is(3));", "assertThat(a, org.hamcrest.CoreMatchers.not(is(3)));"),
        ("import static org.junit.Assert.assertTrue;", "import static org.junit.Assert.*;"),
    ],
    ".kt": [("assertEquals(3, a)", "assertEquals(4, a)"), ("import kotlin.test.assertTrue", "import kotlin.test.*")],
    ".php": [
        ("$this->assertSame('a', $a); # assertSame", "$this->assertSame('sa', $a); # assertSame"),
        ("$this->assertEquals($b, $a, 'told');", "$this->assertEquals([$b], $a, 'told');"),
        ("self::assertTrue($a);", "self::assertTrue(!($a));"),
        ("$this->assertNull($a);", "$this->assertNotNull($a);"),
        ("$this->expectException(Foo\\Bar::class);", "$this->expectException(\\DivisionByZeroError::class);"),
        ("expect($a)->not->toBe(3);", "expect($a)->toBe(3);"),
    ],
    ".rb": [
        ("expect(a).to eq 3 # expect(a).to eq 3", "expect(a).to eq 4 # expect(a).to eq 3"),
        ("expect(a).to eq(b(1))", "expect(a).to eq([b(1)])"),
        ("expect(a).to eq 'b'", "expect(a).to eq 'sb'"),
        ("expect(a).to eq b", "expect(a).not_to eq b"),
        ("expect { a }.to_not raise_error", "expect { a }.to raise_error"),
        ("end.to raise_error(E)", "end.not_to raise_error(E)"),
        ("a.should eq('a.should ')", "a.should_not eq('a.should ')"),
        ("  assert_equal 3, a", "  assert_equal 4, a"),
        ("  assert_nil a", "  refute_nil a"),
    ],
    ".cc": [
        ('EXPECT_EQ(3u, a) << "EXPECT_EQ(";', 'EXPECT_EQ(4u, a) << "EXPECT_EQ(";'),
        ("EXPECT_EQ(b, a);", "EXPECT_NE(b, a);"),
        ("ASSERT_FALSE(a);", "ASSERT_FALSE(!(a));"),
        ("assert(a == 3);", "assert(!(a == 3));"),
        ("static_assert(sizeof(a) == 4);", "static_assert(sizeof(a) == 4);"),
        ("REQUIRE(a == 'x');", "REQUIRE(!(a == 'x'));"),
        ("BOOST_CHECK_EQUAL(a, 3);", "BOOST_CHECK_EQUAL(a, 4);"),
        ("TEST_ASSERT_EQUAL_INT(3, a);", "TEST_ASSERT_NOT_EQUAL_INT(3, a);"),
    ],
    ".cs": [
        ("Assert.Equal(3, a);", "Assert.Equal(4, a);"),
        ("Assert.IsType<B>(a);", "Assert.IsNotType<B>(a);"),
        ("Assert.That(a, Is.EqualTo(3));", "Assert.That(a, Is.EqualTo(4));"),
        ('Assert.That(a, Is.EqualTo(@"c:"));', 'Assert.That(a, Is.Not.EqualTo(@"c:"));'),
        ("Assert.That(a, Is.Not.Null);", "Assert.That(a, Is.Null);"),
        ("a.Should().NotBe(3);", "a.Should().Be(3);"),
        ("a.Should().BeTrue();", "a.Should().BeFalse();"),
    ],
}


@pytest.mark.parametrize(("name", "right", "wrong"), [("a_test.go", GO, WRONG_GO), ("tests/a.rs", RUST, WRONG_RUST)])
def test_a_whole_file(name: str, right: str, wrong: str) -> None:
    assert mutated(name, right, [])[0] == wrong


@pytest.mark.parametrize(
    ("suffix", "right", "wrong"), [(suffix, *pair) for suffix, pairs in LINES.items() for pair in pairs]
)
def test_one_assertion(suffix: str, right: str, wrong: str) -> None:
    assert mutated(f"test{suffix}", f"\n{right}\n", []) == (f"\n{wrong}\n", [])


HEADS = {
    ".go": ("func (s *Suite) TestA() {}", "x::TestA/b", "s.T().Fatalf("),
    ".js": ("it.only('a b', async function (done) {});", "f.js::suite a b", "throw new Error("),
    ".java": ("@Test(timeout = 1)\npublic void a() throws E {}", "p.C::a[1]", "throw new AssertionError("),
    ".kt": ("@Test\nfun `a b`() {}", "p.C::a b()", "throw AssertionError("),
    ".php": ("public function testA(): void\n{\n}", "t.php::C::testA with data set #0", "assertSame(1, 2)"),
    ".rb": ("it 'a b' do |x|\nend", "s.rb::suite a b", "expect(1).to eq(2)"),
    ".cpp": ("TEST(A, b) {\n}", "A.b", "throw 1;"),
    ".c": ("int main(int argc, char **argv) {\n}", "", "return 1;"),
    ".cs": ('[Fact]\n[Trait("a", "b")]\npublic async Task A()\n{\n}', "N.C::A", "throw new System."),
    ".rs": ("#[test_log::test]\nfn a() {}", "tests/a.rs::m::a", "assert_eq!(1, 2);"),
}


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("suffix", HEADS)
def test_a_test_without_an_assertion_gets_a_failing_first_line(suffix: str, plain: bool) -> None:
    text, test, line = HEADS[suffix]
    changed, found = mutated(f"test{suffix}", text, [test, "another"], plain=plain)
    start = changed.index("{") if suffix != ".rb" else changed.index("do |x|")
    assert line in changed[start:] and len(changed.splitlines()) == len(text.splitlines())
    assert found == ([test] if test else [])


def test_only_tests_with_a_wrong_expectation_are_found() -> None:
    text = "test('a', () => expect(x).toBe(1));\ntest('b', () => f());\ntest('c', () => { f(); });\n"
    assert mutated("t.js", text, ["t.js::a", "t.js::b", "t.js::c"])[1] == ["t.js::a", "t.js::c"]
    assert mutated("t.js", text, ["t.js::a", "t.js::b", "t.js::c"], plain=True)[1] == ["t.js::c"]


@pytest.mark.parametrize("name", ["notes.md", "data.json", "Makefile"])
def test_other_files_stay(name: str) -> None:
    assert mutated(name, "assert(x)", ["a"]) == ("assert(x)", [])


NODE_TESTS = r"""
const assert = require('node:assert');
const { describe, it, test } = require('node:test');

describe('calc', () => {
  it('equal', () => assert.equal(1 + 1, 2));
  it('deep', () => { assert.deepStrictEqual([1].concat(2), [1, 2], "a ' in a string"); });
  it('condition', () => { assert('a)b'.match(/\)[b/]/) && `${'assert('}`); });
  it("ok", () => { assert.ok([1, 2].includes(1)); });
  it('throws', () => { assert.throws(() => { throw new RangeError('no'); }, RangeError); });
  it('rejects', async () => { await assert.rejects(Promise.reject(new Error('no'))); });
  it(`nothing`, (t) => {});
  it('unequal', function () { assert.notStrictEqual(1, 2); });
});
"""
NAMES = ["equal", "deep", "condition", "ok", "throws", "rejects", "nothing", "unequal"]


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True])
def test_every_test_fails_though_the_code_is_right(plain: bool, tmp_path: Path) -> None:
    def run(text: str) -> dict[str, bool]:
        (tmp_path / "a.test.js").write_text(text)
        command = [ensure_node(NODE) / "bin/node", "--test", "--test-reporter=tap", "a.test.js"]
        said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
        lines = re.findall(r"^    (not ok|ok) \d+ - (.*)", said, re.MULTILINE)
        return {name: status == "ok" for status, name in lines}

    assert run(NODE_TESTS) == dict.fromkeys(NAMES, True)
    text, found = mutated("a.test.js", NODE_TESTS, [f"calc::{name}" for name in NAMES], plain=plain)
    wrong = {name: f"calc::{name}" in found for name in NAMES}
    assert run(text) == {name: not is_wrong for name, is_wrong in wrong.items()}
    assert all(wrong.values()) or (plain and not wrong["equal"])


def test_what_agents_were_shown_stays_right() -> None:
    shown = "test('a', () => {\n  expect(a()).toBe(1);\n});\n"
    new = shown + "test('b', () => {\n  expect(b()).toBe(1);\n});\n"
    text, found = mutated("t.test.js", new, ["t.test.js::a", "t.test.js::b"], shown)
    assert found == ["t.test.js::b"] and text.startswith(shown) and text != new
    bare = "test('c', () => {\n  run();\n});\n"
    assert mutated("t.test.js", bare, ["t.test.js::c"], bare) == (bare, []), "a test without expectations too"
