"""What assertions look like in each language, and how a test begins: the tables that `words.py` works by.

An assertion without an opposite of the same form (an array's equality, an exception's class) has none here; a test that
has no other gets a failing first line. Frameworks: Go's testing, testify, gomega; Rust's macros; jest, vitest, mocha
with chai, node:assert; JUnit 3 to 5, Hamcrest, AssertJ, Truth, kotlin.test; PHPUnit, Pest; RSpec, minitest; assert.h,
googletest, Catch2, doctest, Boost.Test, Unity, check, cmocka; xUnit, NUnit, MSTest, FluentAssertions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from katcore.testrun.control.rules import (
    Values,
    asserted,
    denied,
    failing_if,
    flipped,
    opposite,
    opposites,
    replaced,
    worded,
)  # fmt: skip
from katcore.testrun.control.words import Language, Rule

_SLASHES = r"//[^\n]*|/\*.*?\*/"
_QUOTED = r'"(?:\\.|[^"\\\n])*"'
_SINGLE = r"'(?:\\.|[^'\\\n])*'"


def _aside(comments: str, *strings: str) -> re.Pattern[str]:
    return re.compile(f"{comments}|(?P<string>{'|'.join(strings)})", re.DOTALL | re.MULTILINE)


def _tests(*tests: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern) for pattern in tests)


def _words(pattern: str, pairs: Mapping[str, str], values: Values) -> Rule:
    """Assertions with an opposite of the same form, `WORD` in the pattern."""
    return asserted(worded(pattern, pairs), opposite(pairs), values)


_TESTIFY = {
    "Equal": "NotEqual", "EqualValues": "NotEqualValues", "True": "False", "Nil": "NotNil", "NoError": "Error",
    "Contains": "NotContains", "Empty": "NotEmpty", "Same": "NotSame", "Greater": "LessOrEqual",
    "Less": "GreaterOrEqual", "Zero": "NotZero", "Panics": "NotPanics", "Regexp": "NotRegexp", "Subset": "NotSubset",
    "ErrorIs": "NotErrorIs", "Exactly": "NotEqual", "FileExists": "NoFileExists", "DirExists": "NoDirExists",
}  # fmt: skip
_GO = Language(
    _aside(_SLASHES, _QUOTED, r"`[^`]*`", r"'(?:\\.|[^'\\\n])+'"),
    (
        failing_if(r"\b[a-z]\w*\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\("),
        _words(
            r"\b(?:assert|require)\.WORDf?\(",
            _TESTIFY,
            Values("Equal|EqualValues|Exactly|Len|Contains|EqualError|ErrorContains", (1, 2), "\"`"),
        ),
        _words(
            r"\b(?:Assert|Require)\(\)\.WORDf?\(",
            _TESTIFY,
            Values("Equal|EqualValues|Exactly|Len|Contains|EqualError|ErrorContains", (0, 1), "\"`"),
        ),
        opposites(r"\)\.WORD\(", {"To": "NotTo", "ToNot": "To", "Should": "ShouldNot"}),
    ),
    _tests(
        r"\bfunc\s+(?P<name>Test\w*)\s*\(\s*(?P<t>\w+)\s+\*testing\.T\s*\)\s*(?P<body>\{)",
        r"\bfunc\s+\(\s*(?P<t>\w+)\s[^)]*\)\s*(?P<name>Test\w*)\s*\(\s*\)\s*(?P<body>\{)",
    ),
    (
        (r"\Afunc\s*\(", r'if got, want := 1, 2; got != want { \g<t>.T().Fatalf("got %v, want %v", got, want) };'),
        ("", r'if got, want := 1, 2; got != want { \g<t>.Fatalf("got %v, want %v", got, want) };'),
    ),
)  # fmt: skip

_RUST = Language(
    _aside(_SLASHES, r'(?<!\w)b?r(#*)".*?"\2', r'b?"(?:\\.|[^"\\])*"', r"b?'(?:\\[^']+|[^'\\\n])'"),
    (
        _words(
            r"\bWORD\s*!\s*\(",
            {"assert_eq": "assert_ne", "debug_assert_eq": "debug_assert_ne"},
            Values(r"\w+_eq", (1, 0)),
        ),
        denied(r"\b(?:debug_)?assert\s*!\s*\("),
        replaced(r"(?P<it>#\[should_panic\b[^\]]*\])", lambda match: ""),
    ),
    _tests(
        r"#\[(?:\w+::)*(?:test|rstest)\b[^\]]*\](?:\s*#\[[^\]]*\])*\s*(?:pub\s+)?(?:async\s+)?fn\s+(?P<name>\w+)"
        r"\s*\([^)]*\)\s*(?:->[^{;]*)?(?P<body>\{)",
    ),
    (("", "assert_eq!(1, 2);"),),
)


def _matchers(words: str) -> Values:
    """The values of matchers that take one value, in whose place any other can stand."""
    return Values(words, (0,), "\"'`", "[{}]")


_JAVASCRIPT = Language(
    _aside(
        _SLASHES, _QUOTED, _SINGLE, r"`(?:\\.|[^`\\])*`",
        r"(?:(?<=[(,=:\[!&|?{;])|(?<=[(,=:] )|(?<=return ))/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*",
    ),
    (
        asserted(
            r"\)(?:\s*\.\s*(?:resolves|rejects))?(?P<it>(?:\s*\.\s*not)?)\s*\.\s*"
            r"(?P<word>to(?:BeCloseTo|Match|Throw|HaveLength|HaveBeenCalledTimes|Contain)\w*)\s*\(",
            lambda match: None,
            Values(r"\w+", (0,), "\"'`"),
        ),
        asserted(
            r"\)(?:\s*\.\s*(?:resolves|rejects))?(?P<it>(?:\s*\.\s*not)?)\s*\.\s*"
            r"(?P<word>to(?:Be|Equal|StrictEqual|Match|Throw|Have|Contain|Return|Satisfy)\w*)\s*\(",
            flipped(".not"),
            _matchers("toBe|toEqual|toStrictEqual|toHaveBeenCalledWith"),
        ),
        asserted(
            r"\)\s*\.to\.(?:deep\.|be\.|have\.)*(?P<word>equals?|eq|eql|lengthOf|include|string|members)\(",
            lambda match: None,
            Values(r"\w+", (0,), "\"'`", "[{}]"),
        ),
        opposites(r"\)\s*\.WORD\b(?!\s*\()", {"to": "to.not", "to.not": "to", "not.to": "to"}),
        replaced(r"\.should(?P<it>(?:\.not)?)(?=\.(?!not\b))", lambda match: "" if match["it"] else ".not"),
        replaced(r"\.expect\(\s*(?P<it>\d{3})\b", lambda match: str(int(match["it"]) + 1)),
        _words(
            r"\b(?:assert(?:\.strict)?|t|test)\.WORD\s*\(",
            {
                "equal": "notEqual", "strictEqual": "notStrictEqual", "deepEqual": "notDeepEqual",
                "deepStrictEqual": "notDeepStrictEqual", "throws": "doesNotThrow", "rejects": "doesNotReject",
                "match": "doesNotMatch", "is": "not", "truthy": "falsy", "same": "notSame", "true": "false",
                "isTrue": "isNotTrue", "isFalse": "isNotFalse", "isNull": "isNotNull", "include": "notInclude",
                "isDefined": "isUndefined", "exists": "notExists", "property": "notProperty",
                "isArray": "isNotArray", "instanceOf": "notInstanceOf", "isEmpty": "isNotEmpty",
                "isAbove": "isAtMost", "isBelow": "isAtLeast", "notThrows": "throws", "isOk": "isNotOk",
            },
            Values("equal|strictEqual|deepEqual|deepStrictEqual|is|same|lengthOf", (1,), "\"'`", "[{}]",
                   "ok|truthy|true|isTrue|isOk"),
        ),
        denied(r"(?<![\w.])(?<!function )assert(?:\.ok)?\s*\("),
    ),
    _tests(
        r"(?<![\w.])[xf]?(?:it|test|specify)(?:\s*\.\s*(?:only|skip|todo|failing|concurrent|sequential|"
        r"each\s*(?:\([^()]*\)|\"+)))*\s*\(\s*"
        r"(?P<name>\"+)(?:\s*,\s*(?:\{[^{}]*\}\s*,\s*)?(?:async\s+)?(?:function\s*\w*\s*)?"
        r"(?:\([^(){};]*\)|\w+)\s*(?:=>)?\s*(?P<body>\{))?",
    ),
    (
        (r"\bexpect\s*\(.*\)\s*\.(?:not\s*\.\s*)?to[A-Z]", "expect(1).toBe(2);"),
        (r"\bexpect\s*\(.*\)\s*\.(?:not\s*\.\s*)?to\b", "expect(1).to.equal(2);"),
        (r"\bassert\s*\.\s*\w*[eE]qual\b", "assert.equal(1, 2);"),
        ("", "if (1 !== 2) throw new Error('expected 1 to equal 2');"),
    ),
)  # fmt: skip

_JUNIT = {
    "assertEquals": "assertNotEquals", "assertTrue": "assertFalse", "assertNull": "assertNotNull",
    "assertSame": "assertNotSame", "assertContains": "assertNotContains",
}  # fmt: skip
_FLUENT = {
    "isEqualTo": "isNotEqualTo", "isTrue": "isFalse", "isNull": "isNotNull", "isEmpty": "isNotEmpty",
    "contains": "doesNotContain", "isInstanceOf": "isNotInstanceOf", "isSameAs": "isNotSameAs",
    "isPresent": "isNotPresent", "startsWith": "doesNotStartWith", "endsWith": "doesNotEndWith",
    "isGreaterThan": "isLessThanOrEqualTo", "isLessThan": "isGreaterThanOrEqualTo", "isZero": "isNotZero",
    "exists": "doesNotExist", "isIn": "isNotIn", "matches": "doesNotMatch", "isSameInstanceAs": "isNotSameInstanceAs",
    "containsKey": "doesNotContainKey", "isPositive": "isNotPositive", "isNegative": "isNotNegative",
}  # fmt: skip
_JAVA_RULES: tuple[Rule, ...] = (
    _words(
        r"(?<!\w)WORD\s*\(",
        _JUNIT,
        Values("assert(?:ArrayEquals|Equals|Same|IterableEquals)", denied="assert(?:True|False)", message_first=True),
    ),
    _words(r"\)\s*\.WORD\s*\(", _FLUENT, Values("isEqualTo|hasSize|startsWith|endsWith|contains", (0,))),
    denied(r"(?<!\w)assertThat\s*\(", "org.hamcrest.CoreMatchers.not(", last=True, then=r"\s*;"),
    # the opposite needs an import of its own
    replaced(r"^\s*import\s+(?:static\s+)?[\w.]+\.(?P<it>assert\w+)(?=\s*(?:;|$))", lambda match: "*"),
)
_JAVA_TEST = (
    r"(?:@(?:\w+\.)*(?:Test|ParameterizedTest|RepeatedTest)\b(?:[^;{}]|\{[^{}]{0,999}\}){0,999}?\b(?:void|fun)\s+"
    r"|\bpublic\s+void\s+(?=test))(?P<name>\w+|`[^`\n]*`)\s*\([^()]*\)\s*(?:throws[\w\s.,]+|:\s*Unit\s*)?(?P<body>\{)"
)
_JAVA_ASIDE = _aside(_SLASHES, r'"""(?:\\.|[^\\])*?"""', _QUOTED, r"'(?:\\.[^']*|[^'\\\n])'")
_JAVA_LINES = (
    (r"\bassertEquals\s*\(", "assertEquals(1, 2);"),
    (r"\bassertTrue\s*\(", "assertTrue(1 == 2);"),
    (r"\bassertThat\s*\([^;]*\)\s*\.is[A-Z]", "assertThat(1).isEqualTo(2);"),
)
_JAVA = Language(
    _JAVA_ASIDE,
    _JAVA_RULES,
    _tests(_JAVA_TEST),
    (*_JAVA_LINES, ("", 'if (1 != 2) throw new AssertionError("expected: <1> but was: <2>");')),
)
_KOTLIN = Language(
    _JAVA_ASIDE,
    _JAVA_RULES,
    _tests(_JAVA_TEST),
    (*_JAVA_LINES, ("", 'if (1 != 2) throw AssertionError("expected: <1> but was: <2>");')),
)

_PHP = Language(
    _aside(
        rf"{_SLASHES}|\#(?!\[)[^\n]*",
        r"<<<\s*(['\"]?)(\w+)\2\n.*?\n\s*\3\b", r'"(?:\\.|[^"\\])*"', r"'(?:\\.|[^'\\])*'",
    ),
    (
        _words(
            r"(?:->|::)WORD\s*\(",
            {
                f"assert{word}": f"assert{other}" for word, other in {
                    "Same": "NotSame", "Equals": "NotEquals", "True": "NotTrue", "False": "NotFalse",
                    "Null": "NotNull", "Empty": "NotEmpty", "Contains": "NotContains", "Count": "NotCount",
                    "InstanceOf": "NotInstanceOf", "ArrayHasKey": "ArrayNotHasKey", "FileExists": "FileDoesNotExist",
                    "StringContainsString": "StringNotContainsString", "GreaterThan": "LessThanOrEqual",
                    "LessThan": "GreaterThanOrEqual", "MatchesRegularExpression": "DoesNotMatchRegularExpression",
                    "JsonStringEqualsJsonString": "JsonStringNotEqualsJsonString", "IsArray": "IsNotArray",
                    "IsString": "IsNotString", "IsInt": "IsNotInt", "EqualsCanonicalizing": "NotEqualsCanonicalizing",
                    "StringStartsWith": "StringStartsNotWith", "StringEndsWith": "StringEndsNotWith",
                }.items()
            },
            Values("assert(?:Same|Equals|Count|StringContainsString)", (0, 1), "\"'", "[{}]", "assert(?:True|False)"),
        ),
        replaced(r"->expectException\s*\(\s*(?P<it>[\\\w]+)::class", lambda match: "\\DivisionByZeroError"),
        asserted(
            r"\)(?P<it>(?:->not)?)->(?P<word>to(?:Be|Equal|Have|Contain|Match|Throw)\w*)\(",
            flipped("->not"),
            Values("toBe|toEqual", (0,), "\"'", "[{}]"),
        ),
    ),
    _tests(
        r"\bfunction\s+(?P<name>test\w*)\s*\([^()]*\)\s*(?::\s*\??\w+\s*)?(?P<body>\{)",
        r"(?<![\w>:$])(?:it|test)\s*\(\s*(?P<name>\"+)\s*,\s*(?:static\s+)?function\s*\([^()]*\)\s*"
        r"(?::\s*\w+\s*)?(?P<body>\{)",
    ),
    ((r"\Afunction", "$this->assertSame(1, 2);"), ("", "expect(1)->toBe(2);")),
)  # fmt: skip

_RUBY = Language(
    _aside(
        r"\#(?!\{)[^\n]*|^=begin\b.*?^=end\b",
        r"<<[~-](['\"]?)(\w+)\2[^\n]*\n.*?\n\s*\3\b", r'"(?:\\.|[^"\\])*"', r"'(?:\\.|[^'\\])*'",
        r"%[qQwWiI]?(?:\([^()]*\)|\[[^\]]*\]|\{[^{}]*\})",
        r"(?:(?<=[(,=~!&|])|(?<=[(,=~] )|(?<=match ))/(?![*/ ])(?:\\.|[^/\\\n])+/[a-z]*",
    ),
    (
        replaced(r"\.to[ (]+(?:eq|eql|equal|be)[ (]+(?P<it>\d+)(?![\w.])", lambda match: str(int(match["it"]) + 1)),
        asserted(r"\.to[ (]+(?P<word>eq|eql)\(", lambda match: None, Values(r"\w+", (0,), "\"'", "[{}]")),
        replaced(r"\.to[ (]+(?:eq|eql)[ (]+[\"'](?P<it>)(?=\")", lambda match: "s"),
        replaced(r"\.(?P<it>not_to|to_not|to)\b(?=\s*\(?\s*[a-z])",
                 lambda match: "not_to" if match["it"] == "to" else "to"),
        replaced(r"\.(?P<it>should(?:_not)?)\b", lambda match: "should" if "_" in match["it"] else "should_not"),
        replaced(r"^\s*assert_equal[ (]+(?P<it>\d+)(?![\w.])", lambda match: str(int(match["it"]) + 1)),
        replaced(r"^\s*(?P<it>(?:assert|refute)(?:_\w+)?)\b",
                 lambda match: {"a": "refute", "r": "assert"}[match["it"][0]] + match["it"][6:]),
    ),
    _tests(
        r"(?<![\w.:])[xf]?(?:it|specify|example|scenario)\b(?:[ \t(]*(?P<name>\"+))?[^\n]*?(?P<body>\bdo\b|\{)"
        r"(?:[ \t]*\|[^|\n]*\|)?",
        r"\bdef\s+(?P<name>test_\w+)(?:[ \t]*\(\))?(?P<body>)(?=[ \t]*\n)",
    ),
    ((r"\Adef", "; assert_equal(1, 2)"), ("", "expect(1).to eq(2);")),
)  # fmt: skip

_PREFIXED = r"\b(?P<prefix>EXPECT_|ASSERT_|CHECK_|REQUIRE_|WARN_|BOOST_CHECK_|BOOST_TEST_|BOOST_REQUIRE_)"
_C = Language(
    _aside(
        _SLASHES, r'R"(\w*)\(.*?\)\2"', _QUOTED, r"(?<![0-9a-fA-F])'(?:\\[^']+|[^'\\\n])'",
    ),
    (
        _words(
            _PREFIXED + r"WORD\s*\(",
            {"EQ": "NE", "TRUE": "FALSE", "LT": "GE", "GT": "LE", "STREQ": "STRNE", "STRCASEEQ": "STRCASENE",
             "THROWS": "NOTHROW"},
            Values("EQ|STREQ|STRCASEEQ", denied="TRUE|FALSE"),
        ),
        _words(r"\b(?:BOOST_CHECK|BOOST_REQUIRE)WORD\s*\(", {"_EQUAL": "_NE"}, Values("_EQUAL")),
        denied(r"\b(?:CHECK|REQUIRE)(?:_FALSE)?\s*\("),
        opposites(
            r"\bTEST_ASSERTWORD(?=\w*\s*\()", {"_EQUAL": "_NOT_EQUAL", "_TRUE": "_FALSE", "_NULL": "_NOT_NULL"}
        ),
        _words(r"\bck_assert_\w+?_WORD\s*\(", {"eq": "ne", "lt": "ge", "gt": "le"}, Values("eq")),
        _words(
            r"\bassert_WORD\s*\(",
            {"int_equal": "int_not_equal", "true": "false", "string_equal": "string_not_equal", "null": "non_null",
             "memory_equal": "memory_not_equal", "ptr_equal": "ptr_not_equal"},
            Values("int_equal|string_equal", denied="true|false"),
        ),
        denied(r"(?<![\w.])(?:assert|ck_assert|BOOST_CHECK|BOOST_REQUIRE|BOOST_TEST|TEST_CHECK)\s*\("),
    ),
    _tests(
        r"(?m)^[ \t]*(?:TYPED_)?(?:TEST(?:_F|_P|_CASE|_METHOD)?|SCENARIO|BOOST_AUTO_TEST_CASE)\s*"
        r"\(\s*(?P<name>\"+|\w+(?:\s*,\s*\w+)?)[^()]*\)\s*(?P<body>\{)",
        r"\bint\s+main\s*\([^()]*\)\s*(?P<body>\{)",
    ),
    (
        (r"\Aint\s+main", "if (1 != 2) return 1;"),
        (r"\b(?:EXPECT|ASSERT)_EQ\s*\(", "EXPECT_EQ(1, 2);"),
        (r"\bREQUIRE\s*\(", "REQUIRE(1 == 2);"),
        (r"\bCHECK\s*\(", "CHECK(1 == 2);"),
        ("", "if (1 != 2) throw 1;"),
    ),
)  # fmt: skip

_CSHARP = Language(
    _aside(_SLASHES, r'"""(?:.)*?"""', r'\$?@\$?"(?:""|[^"])*"', r'\$?"(?:\\.|[^"\\\n])*"', r"'(?:\\[^']+|[^'\\\n])'"),
    (
        _words(
            r"\b(?:Assert|CollectionAssert|StringAssert|ClassicAssert)\.WORD(?:<[\w., ]+>)?\s*\(",
            {
                "Equal": "NotEqual", "True": "False", "Null": "NotNull", "Contains": "DoesNotContain",
                "Empty": "NotEmpty", "Same": "NotSame", "AreEqual": "AreNotEqual", "IsTrue": "IsFalse",
                "IsNull": "IsNotNull", "AreSame": "AreNotSame", "IsEmpty": "IsNotEmpty", "IsType": "IsNotType",
                "Matches": "DoesNotMatch", "IsInstanceOfType": "IsNotInstanceOfType", "StrictEqual": "NotStrictEqual",
                "AreEquivalent": "AreNotEquivalent", "IsInstanceOf": "IsNotInstanceOf",
            },
            Values("Equal|AreEqual|StrictEqual|Contains|StartsWith|EndsWith", denied="True|False|IsTrue|IsFalse"),
        ),
        asserted(r"(?<![\w.])Is\.(?P<word>EqualTo)\(", lambda match: None, Values("EqualTo", (0,))),
        asserted(r"\.Should\(\)\s*\.(?P<word>Be|Equal)\(", lambda match: None, Values(r"\w+", (0,))),
        opposites(r"(?<![\w.])(?:Is|Does)\.WORD", {"Not.": ""}),
        opposites(r"\.Should\(\)\s*\.WORD(?=\s*[(<])", {"BeTrue": "BeFalse"}),
        replaced(r"\.Should\(\)\s*\.(?P<it>(?:Not)?)(?=(?:Be(?!True\b|False\b)|Equal|Contain|Throw|Have|Match)\w*\s*[(<])",
                 lambda match: "" if match["it"] else "Not"),
    ),
    _tests(
        r"\[(?:\w+\.)*(?:Fact|Theory|Test|TestMethod|TestCase|DataTestMethod)\b[^;{}]{0,999}?\b(?P<name>\w+)\s*"
        r"\([^()]*\)\s*(?P<body>\{)",
    ),
    (
        (r"\bAssert\.Equal\b", "Assert.Equal(1, 2);"),
        (r"\bAssert\.AreEqual\b", "Assert.AreEqual(1, 2);"),
        ("", 'if (1 != 2) throw new System.InvalidOperationException("Expected: 1, Actual: 2");'),
    ),
)  # fmt: skip

LANGUAGES: dict[str, Language] = {
    ".go": _GO, ".rs": _RUST, ".java": _JAVA, ".kt": _KOTLIN, ".php": _PHP, ".rb": _RUBY, ".cs": _CSHARP,
    **dict.fromkeys((".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".jsx", ".tsx"), _JAVASCRIPT),
    **dict.fromkeys((".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".hh"), _C),
}  # fmt: skip
"""The language of a file by the suffix of its name."""
