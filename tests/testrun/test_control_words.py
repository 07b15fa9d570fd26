"""Assertions of each language turned into their opposites; strings, comments and all else stay as they are."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from katcore.scaffold.install import NODE, ensure_node
from katcore.testrun.control import spoiled

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
	assert.NotEqualf(t, 1, n, "n")
	for _, c := range cases { t.Run(c.name, func(t *testing.T) { assert.True(t, c.bad) }) }
}
func TestNothing(t *testing.T) { if got, want := 1, 2; got != want { t.Fatalf("got %v, want %v", got, want) }
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
    assert_ne!(add(1, 2), 3, "assert!(x)");
    assert!(!(f('(', r#"a " b"#) && [1, 2].len() == 2), "told");
}
#[test]

fn panics() { add(1, 2); }
#[tokio::test]
async fn nothing() -> Result<(), E> { assert_eq!(1, 2); add(1, 2)?; Ok(()) }
"""
LINES = {
    ".ts": [
        ("expect(a).toBe(1); // expect(a).toBe(1)", "expect(a).not.toBe(1); // expect(a).toBe(1)"),
        ("expect(f('a).toBe(')).not.toEqual([1]);", "expect(f('a).toBe(')).toEqual([1]);"),
        ("await expect(p).rejects.toThrow(E)", "await expect(p).rejects.not.toThrow(E)"),
        ("const text = x().toString();", "const text = x().toString();"),
        ("expect(a).to.be.equal(1);", "expect(a).to.not.be.equal(1);"),
        ("expect(a).not.to.throw();", "expect(a).to.throw();"),
        ("a.should.equal(1); b.should.not.be.ok", "a.should.not.equal(1); b.should.be.ok"),
        ("assert.deepStrictEqual(a, [1]);", "assert.notDeepStrictEqual(a, [1]);"),
        ("assert(/[/)]/.test(a), 'told');", "assert(!(/[/)]/.test(a)), 'told');"),
        ("t.is(a, `${1}`)", "t.not(a, `${1}`)"),
        ("await request(app).get('/').expect(200);", "await request(app).get('/').expect(201);"),
    ],
    ".java": [
        ("assertEquals(3, a); /* assertEquals */", "assertNotEquals(3, a); /* assertEquals */"),
        ("assertThat(a).isEqualTo(3);", "assertThat(a).isNotEqualTo(3);"),
        ("assertThat(a, is(3));", "assertThat(a,org.hamcrest.CoreMatchers.not(is(3)));"),
        ("import static org.junit.Assert.assertTrue;", "import static org.junit.Assert.*;"),
    ],
    ".kt": [("assertEquals(3, a)", "assertNotEquals(3, a)"), ("import kotlin.test.assertTrue", "import kotlin.test.*")],
    ".php": [
        ("$this->assertSame(3, $a); # assertSame", "$this->assertNotSame(3, $a); # assertSame"),
        ("self::assertTrue($a);", "self::assertNotTrue($a);"),
        ("$this->expectException(Foo\\Bar::class);", "$this->expectException(\\DivisionByZeroError::class);"),
        ("expect($a)->toBe(3);", "expect($a)->not->toBe(3);"),
    ],
    ".rb": [
        ("expect(a).to eq 3 # expect(a).to eq 3", "expect(a).not_to eq 3 # expect(a).to eq 3"),
        ("expect { a }.to_not raise_error", "expect { a }.to raise_error"),
        ("a.should eq('a.should ')", "a.should_not eq('a.should ')"),
        ("  assert_equal 3, a", "  refute_equal 3, a"),
    ],
    ".cc": [
        ('EXPECT_EQ(3, a) << "EXPECT_EQ(";', 'EXPECT_NE(3, a) << "EXPECT_EQ(";'),
        ("ASSERT_FALSE(a);", "ASSERT_TRUE(a);"),
        ("assert(a == 3);", "assert(!(a == 3));"),
        ("static_assert(sizeof(a) == 4);", "static_assert(sizeof(a) == 4);"),
        ("REQUIRE(a == 'x');", "REQUIRE_FALSE(a == 'x');"),
        ("BOOST_CHECK_EQUAL(a, 3);", "BOOST_CHECK_NE(a, 3);"),
        ("TEST_ASSERT_EQUAL_INT(3, a);", "TEST_ASSERT_NOT_EQUAL_INT(3, a);"),
    ],
    ".cs": [
        ("Assert.Equal(3, a);", "Assert.NotEqual(3, a);"),
        ('Assert.That(a, Is.EqualTo(@"c:\\"));', 'Assert.That(a, Is.Not.EqualTo(@"c:\\"));'),
        ("Assert.That(a, Is.Not.Null);", "Assert.That(a, Is.Null);"),
        ("a.Should().NotBe(3);", "a.Should().Be(3);"),
        ("a.Should().BeTrue();", "a.Should().BeFalse();"),
    ],
}


@pytest.mark.parametrize(("name", "right", "wrong"), [("a_test.go", GO, WRONG_GO), ("tests/a.rs", RUST, WRONG_RUST)])
def test_a_whole_file(name: str, right: str, wrong: str) -> None:
    assert spoiled(name, right, [])[0] == wrong


@pytest.mark.parametrize(
    ("suffix", "right", "wrong"), [(suffix, *pair) for suffix, pairs in LINES.items() for pair in pairs]
)
def test_one_assertion(suffix: str, right: str, wrong: str) -> None:
    assert spoiled(f"test{suffix}", f"\n{right}\n", []) == (f"\n{wrong}\n", [])


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
    changed, found = spoiled(f"test{suffix}", text, [test, "another"], plain)
    start = changed.index("{") if suffix != ".rb" else changed.index("do |x|")
    assert line in changed[start:] and len(changed.splitlines()) == len(text.splitlines())
    assert found == ([test] if test else [])


def test_only_tests_with_a_wrong_expectation_are_found() -> None:
    text = "test('a', () => expect(x).toBe(1));\ntest('b', () => f());\ntest('c', () => { f(); });\n"
    assert spoiled("t.js", text, ["t.js::a", "t.js::b", "t.js::c"])[1] == ["t.js::a", "t.js::c"]
    assert spoiled("t.js", text, ["t.js::a", "t.js::b", "t.js::c"], plain=True)[1] == ["t.js::c"]


@pytest.mark.parametrize("name", ["notes.md", "data.json", "Makefile"])
def test_other_files_stay(name: str) -> None:
    assert spoiled(name, "assert(x)", ["a"]) == ("assert(x)", [])


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
        lines = [line.strip().split(" - ") for line in said.splitlines() if line.startswith("    ") and " - " in line]
        return {line[1]: line[0].startswith("ok") for line in lines}

    assert run(NODE_TESTS) == dict.fromkeys(NAMES, True)
    text, found = spoiled("a.test.js", NODE_TESTS, [f"calc::{name}" for name in NAMES], plain)
    wrong = {name: f"calc::{name}" in found for name in NAMES}
    assert run(text) == {name: not is_wrong for name, is_wrong in wrong.items()}
    assert all(wrong.values()) or (plain and not wrong["equal"])
