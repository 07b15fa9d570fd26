"""Which files of a change are tests, by the path conventions of the 24 languages.

In: a path. Out: true for test code and for what only tests read (fixtures, snapshots, test data). A file counts whole:
a Rust source with inline tests is source, and so is the configuration of a test runner.
"""

from __future__ import annotations

import re
from functools import lru_cache

FOLDERS = frozenset(
    """
    test tests __tests__ __test__ __mocks__ __snapshots__ __fixtures__ testdata test-data test_data testsuite testsuites
    test-suite test_suite testfixtures test-fixtures test_fixtures fixtures e2e e2e-tests e2e_tests unittest unittests
    unit-tests unit_tests integrationtest integrationtests integration-test integration-tests integration_test
    integration_tests functional-tests functional_tests functionaltests acceptance-tests acceptance_tests
    regression_tests regression-tests system-tests system_tests androidtest androidunittest commontest jvmtest
    jstest nativetest iostest sharedtest testthat cypress playwright inttest it-tests smoke-tests smoke_tests
    conformance-tests tests-unit
    """.split()  # noqa: SIM905 - a list of names, one word each
)
"""Folders, at any depth, in lower case, all of whose files serve tests."""

TOP_FOLDERS = frozenset({"testing", "t", "xt", "qa"})
"""Folders that serve tests when they are at the top; deeper they are ordinary words (`numpy/testing`)."""

SPEC_SUFFIXES = (
    ".rb",
    ".js",
    ".jsx",
    ".ts",
    ".tsx",
    ".mjs",
    ".cjs",
    ".lua",
    ".php",
    ".coffee",
    ".cr",
    ".hs",
    ".ex",
    ".exs",
)
"""Suffixes of code that is a test when it lies below a `spec` folder."""

NAMES: dict[str, str] = {
    "Python": r"test_.*\.pyi?|.*_tests?\.py|tests?\.py|conftest\.py",
    "Java, Kotlin, Scala, Groovy": r".*(Test|Tests|TestCase|TestSuite|IT|ITCase|Spec|Suite)\.(java|kt|kts|scala|groovy)"
    r"|Test[A-Z].*\.(java|kt|scala|groovy)",
    "JavaScript, TypeScript": r".*[._-](test|tests|spec|specs|e2e|cy|test-d|stories\.test)\.[cm]?[jt]sx?"
    r"|.*\.(test|spec)\.(vue|svelte|coffee)|.*\.snap|test\.[cm]?[jt]sx?",
    "C, C++, CUDA": r"(unit)?test[_-].*\.(c|cc|cpp|cxx|h|hpp|cu)"
    r"|.*[_-](test|tests|unittest|unittests|gtest)\.(c|cc|cpp|cxx|h|hpp|cu)"
    r"|.*(Test|Tests|TestCase)\.(cc|cpp|cxx|h|hpp)|tests?\.(c|cc|cpp|cxx)",
    "C#, F#, Visual Basic": r".*(Test|Tests|TestCase|Spec|Specs|Fixture)\.(cs|fs|vb)",
    "Go": r".*_test\.go",
    "Rust": r"tests?\.rs|.*_tests?\.rs|test_.*\.rs",
    "PHP": r".*(Test|TestCase|Cest|Cept)\.php|.*\.phpt|.*_test\.php",
    "Ruby": r".*_(test|spec)\.rb|test_.*\.rb|(spec|test)_helper\.rb|rails_helper\.rb",
    "Swift, Objective-C": r".*(Test|Tests|TestCase|Spec)\.(swift|m|mm)",
    "R": r"test[-_.].*\.[rR]|testthat\.[rR]",
    "Shell": r".*\.bats|test[-_].*\.sh|.*[-_]test\.sh|.*_spec\.sh|.*\.t",
    "SQL": r"test_.*\.sql|.*[._]test\.sql|.*\.pgtap",
    "MATLAB": r".*Tests?\.m|test_.*\.m|test[A-Z].*\.m",
    "Dart": r".*_test\.dart",
    "Lua": r".*_(test|spec)\.lua|test_.*\.lua",
    "Elixir, Erlang": r".*_test\.exs|test_helper\.exs|.*_(SUITE|tests)\.erl",
    "Haskell": r".*(Spec|Test|Tests)\.hs",
    "Perl, Raku": r".*\.(t|rakutest)",
    "Clojure": r".*_test\.clj[cs]?",
    "others": r".*_tests?\.(ml|jl|nim|zig|cr|v|sv)|test_.*\.(jl|nim|zig|f90)|.*\.feature|.*_tb\.(v|sv|vhd)",
}
"""For each language a regular expression for the whole name of a test file."""

_NAME = re.compile("|".join(f"(?:{pattern})" for pattern in NAMES.values()))
_PROJECT = re.compile(r".+[._-](Unit|Integration|Functional|Acceptance)?Tests?", re.ASCII)
"""A .NET or Swift test project's folder: `Shop.Tests`, `ShopUITests` (without a dot by the suffix below)."""


@lru_cache(maxsize=1 << 16)
def is_test(path: str) -> bool:
    """Whether a file serves tests only."""
    *folders, name = path.split("/")
    if "/src/main/" in f"/{path}":  # Maven's and Gradle's layout decides
        return False
    if _NAME.fullmatch(name):
        return True
    if any(folder.lower() in FOLDERS or _PROJECT.fullmatch(folder) or folder.endswith("Tests") for folder in folders):
        return True
    if folders and folders[0].lower() in TOP_FOLDERS:
        return True
    return any(folder in ("spec", "specs") for folder in folders) and _in_spec(folders, name)


def _in_spec(folders: list[str], name: str) -> bool:
    """Whether a file below `spec/` is test code or beside it for its support, not a specification in prose or YAML."""
    return name.endswith(SPEC_SUFFIXES) or any(folder in ("support", "factories", "dummy") for folder in folders)
