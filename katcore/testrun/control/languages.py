"""What assertions look like in each language, and how a test begins: the tables that `words.py` works by.

An assertion without an opposite of the same form (an array's equality, an exception's class) has none here; a test that
has no other gets a failing first line. Frameworks: Go's testing, testify, gomega; Rust's macros; jest, vitest, mocha
with chai, node:assert; JUnit 3 to 5, Hamcrest, AssertJ, Truth, kotlin.test; PHPUnit, Pest; RSpec, minitest; assert.h,
googletest, Catch2, doctest, Boost.Test, Unity, check, cmocka; xUnit, NUnit, MSTest, FluentAssertions.
"""

from __future__ import annotations

import re

from katcore.testrun.control.words import Language, Rule, denied, failing_if, opposites, replaced

_SLASHES = r"//[^\n]*|/\*.*?\*/"
_QUOTED = r'"(?:\\.|[^"\\\n])*"'
_SINGLE = r"'(?:\\.|[^'\\\n])*'"


def _aside(comments: str, *strings: str) -> re.Pattern[str]:
    return re.compile(f"{comments}|(?P<string>{'|'.join(strings)})", re.DOTALL | re.MULTILINE)


def _tests(*tests: tuple[str, str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), line) for pattern, line in tests)


def _without_not(match: re.Match[str]) -> str:
    """`.not` taken away or put in."""
    return "" if match["it"] else ".not"


_GO = Language(
    _aside(_SLASHES, _QUOTED, r"`[^`]*`", r"'(?:\\.|[^'\\\n])+'"),
    (
        failing_if(r"\b[a-z]\w*\.(?:Error|Errorf|Fatal|Fatalf|Fail|FailNow)\("),
        opposites(
            r"\b(?:assert|require|Assert\(\)|Require\(\))\.WORDf?\(",
            {
                "Equal": "NotEqual", "EqualValues": "NotEqualValues", "True": "False", "Nil": "NotNil",
                "NoError": "Error", "Contains": "NotContains", "Empty": "NotEmpty", "Same": "NotSame",
                "Greater": "LessOrEqual", "Less": "GreaterOrEqual", "Zero": "NotZero", "Panics": "NotPanics",
                "Regexp": "NotRegexp", "Subset": "NotSubset", "ErrorIs": "NotErrorIs", "Exactly": "NotEqual",
                "FileExists": "NoFileExists", "DirExists": "NoDirExists",
            },
        ),
        opposites(r"\)\.WORD\(", {"To": "NotTo", "ToNot": "To", "Should": "ShouldNot"}),
    ),
    _tests(
        (
            r"\bfunc\s+(?P<name>Test\w*)\s*\(\s*(?P<t>\w+)\s+\*testing\.T\s*\)\s*(?P<body>\{)",
            'if got, want := 1, 2; got != want { \\g<t>.Fatalf("got %v, want %v", got, want) }',
        ),
        (
            r"\bfunc\s+\(\s*(?P<t>\w+)\s[^)]*\)\s*(?P<name>Test\w*)\s*\(\s*\)\s*(?P<body>\{)",
            'if got, want := 1, 2; got != want { \\g<t>.T().Fatalf("got %v, want %v", got, want) }',
        ),
    ),
)  # fmt: skip

_RUST = Language(
    _aside(_SLASHES, r'(?<!\w)b?r(#*)".*?"\2', r'b?"(?:\\.|[^"\\])*"', r"b?'(?:\\[^']+|[^'\\\n])'"),
    (
        opposites(
            r"\bWORD\s*!",
            {"assert_eq": "assert_ne", "debug_assert_eq": "debug_assert_ne"},
        ),
        denied(r"\b(?:debug_)?assert\s*!\s*\("),
        replaced(r"(?P<it>#\[should_panic\b[^\]]*\])", lambda match: ""),
    ),
    _tests(
        (
            r"#\[(?:\w+::)*(?:test|rstest)\b[^\]]*\](?:\s*#\[[^\]]*\])*\s*(?:pub\s+)?(?:async\s+)?fn\s+(?P<name>\w+)"
            r"\s*\([^)]*\)\s*(?:->[^{;]*)?(?P<body>\{)",
            "assert_eq!(1, 2);",
        ),
    ),
)

_EXPECT = r"to(?:Be|Equal|StrictEqual|Match|Throw|Have|Contain|Return|Satisfy)\w*\s*\("
_JAVASCRIPT = Language(
    _aside(
        _SLASHES, _QUOTED, _SINGLE, r"`(?:\\.|[^`\\])*`",
        r"(?:(?<=[(,=:\[!&|?{;])|(?<=[(,=:] )|(?<=return ))/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/[a-z]*",
    ),
    (
        replaced(rf"\)(?:\s*\.\s*(?:resolves|rejects))?(?P<it>(?:\s*\.\s*not)?)(?=\s*\.\s*{_EXPECT})", _without_not),
        opposites(r"\)\s*\.WORD\b(?!\s*\()", {"to": "to.not", "to.not": "to", "not.to": "to"}),
        replaced(r"\.should(?P<it>(?:\.not)?)(?=\.(?!not\b))", _without_not),
        replaced(r"\.expect\(\s*(?P<it>\d{3})\b", lambda match: str(int(match["it"]) + 1)),
        opposites(
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
        ),
        denied(r"(?<![\w.])(?<!function )assert(?:\.ok)?\s*\("),
    ),
    _tests(
        (
            r"(?<![\w.])[xf]?(?:it|test|specify)(?:\s*\.\s*(?:only|skip|todo|failing|concurrent|sequential|"
            r"each\s*(?:\([^()]*\)|\"+)))*\s*\(\s*"
            r"(?P<name>\"+)(?:\s*,\s*(?:\{[^{}]*\}\s*,\s*)?(?:async\s+)?(?:function\s*\w*\s*)?"
            r"(?:\([^(){};]*\)|\w+)\s*(?:=>)?\s*(?P<body>\{))?",
            "if (1 !== 2) throw new Error('expected 1 to equal 2');",
        ),
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
    opposites(r"(?<!\w)WORD\s*\(", _JUNIT),
    opposites(r"\)\s*\.WORD\s*\(", _FLUENT),
    denied(r"(?<!\w)assertThat\s*\(", "org.hamcrest.CoreMatchers.not(", last=True, then=r"\s*;"),
    # the opposite needs an import of its own
    replaced(r"^\s*import\s+(?:static\s+)?[\w.]+\.(?P<it>assert\w+)(?=\s*(?:;|$))", lambda match: "*"),
)
_JAVA_TEST = (
    r"(?:@(?:\w+\.)*(?:Test|ParameterizedTest|RepeatedTest)\b(?:[^;{}]|\{[^{}]*\})*?\b(?:void|fun)\s+"
    r"|\bpublic\s+void\s+(?=test))(?P<name>\w+|`[^`\n]*`)\s*\([^()]*\)\s*(?:throws[\w\s.,]+|:\s*Unit\s*)?(?P<body>\{)"
)
_JAVA_ASIDE = _aside(_SLASHES, r'"""(?:\\.|[^\\])*?"""', _QUOTED, r"'(?:\\.[^']*|[^'\\\n])'")
_JAVA = Language(
    _JAVA_ASIDE,
    _JAVA_RULES,
    _tests((_JAVA_TEST, 'if (1 != 2) throw new AssertionError("expected: <1> but was: <2>");')),
)
_KOTLIN = Language(
    _JAVA_ASIDE,
    _JAVA_RULES,
    _tests((_JAVA_TEST, 'if (1 != 2) throw AssertionError("expected: <1> but was: <2>");')),
)

_PHP = Language(
    _aside(
        rf"{_SLASHES}|\#(?!\[)[^\n]*",
        r"<<<\s*(['\"]?)(\w+)\2\n.*?\n\s*\3\b", r'"(?:\\.|[^"\\])*"', r"'(?:\\.|[^'\\])*'",
    ),
    (
        opposites(
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
        ),
        replaced(r"->expectException\s*\(\s*(?P<it>[\\\w]+)::class", lambda match: "\\DivisionByZeroError"),
        replaced(r"\)(?P<it>(?:->not)?)(?=->to(?:Be|Equal|Have|Contain|Match|Throw)\w*\()",
                 lambda match: "" if match["it"] else "->not"),
    ),
    _tests(
        (
            r"\bfunction\s+(?P<name>test\w*)\s*\([^()]*\)\s*(?::\s*\??\w+\s*)?(?P<body>\{)",
            "$this->assertSame(1, 2);",
        ),
        (
            r"(?<![\w>:$])(?:it|test)\s*\(\s*(?P<name>\"+)\s*,\s*(?:static\s+)?function\s*\([^()]*\)\s*"
            r"(?::\s*\w+\s*)?(?P<body>\{)",
            "expect(1)->toBe(2);",
        ),
    ),
)  # fmt: skip

_RUBY = Language(
    _aside(
        r"\#(?!\{)[^\n]*|^=begin\b.*?^=end\b",
        r"<<[~-](['\"]?)(\w+)\2[^\n]*\n.*?\n\s*\3\b", r'"(?:\\.|[^"\\])*"', r"'(?:\\.|[^'\\])*'",
        r"%[qQwWiI]?(?:\([^()]*\)|\[[^\]]*\]|\{[^{}]*\})",
        r"(?:(?<=[(,=~!&|])|(?<=[(,=~] )|(?<=match ))/(?![*/ ])(?:\\.|[^/\\\n])+/[a-z]*",
    ),
    (
        replaced(r"(?<=[)}\w])\s*\.(?P<it>not_to|to_not|to)\b(?=\s*\(?\s*[a-z])",
                 lambda match: "not_to" if match["it"] == "to" else "to"),
        replaced(r"\bend\.(?P<it>not_to|to_not|to)\b", lambda match: "not_to" if match["it"] == "to" else "to"),
        replaced(r"\.(?P<it>should(?:_not)?)\b", lambda match: "should" if "_" in match["it"] else "should_not"),
        replaced(r"^\s*(?P<it>(?:assert|refute)(?:_\w+)?)\b",
                 lambda match: {"a": "refute", "r": "assert"}[match["it"][0]] + match["it"][6:]),
    ),
    _tests(
        (
            r"(?<![\w.:])[xf]?(?:it|specify|example|scenario)\b(?:[ \t(]*(?P<name>\"+))?[^\n]*?(?P<body>\bdo\b|\{)"
            r"(?:[ \t]*\|[^|\n]*\|)?",
            "expect(1).to eq(2);",
        ),
        (r"\bdef\s+(?P<name>test_\w+)(?P<body>)(?:[ \t]*\(\))?(?=[ \t]*\n)", "; assert_equal(1, 2)"),
    ),
)  # fmt: skip

_PREFIXED = r"\b(?P<prefix>EXPECT_|ASSERT_|CHECK_|REQUIRE_|WARN_|BOOST_CHECK_|BOOST_TEST_|BOOST_REQUIRE_)"
_C = Language(
    _aside(
        _SLASHES, r'R"(\w*)\(.*?\)\2"', _QUOTED, r"(?<![0-9a-fA-F])'(?:\\[^']+|[^'\\\n])'",
    ),
    (
        opposites(
            _PREFIXED + r"WORD\s*\(",
            {"EQ": "NE", "TRUE": "FALSE", "LT": "GE", "GT": "LE", "STREQ": "STRNE", "STRCASEEQ": "STRCASENE",
             "THROWS": "NOTHROW"},
        ),
        opposites(r"\b(?:BOOST_CHECK|BOOST_REQUIRE)WORD\s*\(", {"_EQUAL": "_NE"}),
        opposites(r"\bWORD\s*\(", {"CHECK": "CHECK_FALSE", "REQUIRE": "REQUIRE_FALSE"}),
        opposites(
            r"\bTEST_ASSERTWORD(?=\w*\s*\()", {"_EQUAL": "_NOT_EQUAL", "_TRUE": "_FALSE", "_NULL": "_NOT_NULL"}
        ),
        opposites(r"\bck_assert_\w+?_WORD\s*\(", {"eq": "ne", "lt": "ge", "gt": "le"}),
        opposites(
            r"\bassert_WORD\s*\(",
            {"int_equal": "int_not_equal", "true": "false", "string_equal": "string_not_equal", "null": "non_null",
             "memory_equal": "memory_not_equal", "ptr_equal": "ptr_not_equal"},
        ),
        denied(r"(?<![\w.])(?:assert|ck_assert|BOOST_CHECK|BOOST_REQUIRE|BOOST_TEST|TEST_CHECK)\s*\("),
    ),
    _tests(
        (
            r"(?m)^[ \t]*(?:TYPED_)?(?:TEST(?:_F|_P|_CASE|_METHOD)?|SCENARIO|BOOST_AUTO_TEST_CASE)\s*"
            r"\(\s*(?P<name>\"+|\w+(?:\s*,\s*\w+)?)[^()]*\)\s*(?P<body>\{)",
            "if (1 != 2) throw 1;",
        ),
        (r"\bint\s+main\s*\([^()]*\)\s*(?P<body>\{)", "if (1 != 2) return 1;"),
    ),
)  # fmt: skip

_CSHARP = Language(
    _aside(_SLASHES, r'"""(?:.)*?"""', r'\$?@\$?"(?:""|[^"])*"', r'\$?"(?:\\.|[^"\\\n])*"', r"'(?:\\[^']+|[^'\\\n])'"),
    (
        opposites(
            r"\b(?:Assert|CollectionAssert|StringAssert|ClassicAssert)\.WORD(?=\s*[(<])",
            {
                "Equal": "NotEqual", "True": "False", "Null": "NotNull", "Contains": "DoesNotContain",
                "Empty": "NotEmpty", "Same": "NotSame", "AreEqual": "AreNotEqual", "IsTrue": "IsFalse",
                "IsNull": "IsNotNull", "AreSame": "AreNotSame", "IsEmpty": "IsNotEmpty", "IsType": "IsNotType",
                "Matches": "DoesNotMatch", "IsInstanceOfType": "IsNotInstanceOfType", "StrictEqual": "NotStrictEqual",
                "AreEquivalent": "AreNotEquivalent", "IsInstanceOf": "IsNotInstanceOf",
            },
        ),
        opposites(r"(?<![\w.])(?:Is|Does)\.WORD", {"Not.": ""}),
        opposites(r"\.Should\(\)\s*\.WORD(?=\s*[(<])", {"BeTrue": "BeFalse"}),
        replaced(r"\.Should\(\)\s*\.(?P<it>(?:Not)?)(?=(?:Be(?!True\b|False\b)|Equal|Contain|Throw|Have|Match)\w*\s*[(<])",
                 lambda match: "" if match["it"] else "Not"),
    ),
    _tests(
        (
            r"\[(?:\w+\.)*(?:Fact|Theory|Test|TestMethod|TestCase|DataTestMethod)\b[^;{}]*?\b(?P<name>\w+)\s*"
            r"\([^()]*\)\s*(?P<body>\{)",
            'if (1 != 2) throw new System.InvalidOperationException("Expected: 1, Actual: 2");',
        ),
    ),
)  # fmt: skip

LANGUAGES: dict[str, Language] = {
    ".go": _GO, ".rs": _RUST, ".java": _JAVA, ".kt": _KOTLIN, ".php": _PHP, ".rb": _RUBY, ".cs": _CSHARP,
    **dict.fromkeys((".js", ".cjs", ".mjs", ".ts", ".cts", ".mts", ".jsx", ".tsx"), _JAVASCRIPT),
    **dict.fromkeys((".c", ".cc", ".cpp", ".cxx", ".h", ".hpp", ".hh"), _C),
}  # fmt: skip
"""A file name's suffix -> its language."""
