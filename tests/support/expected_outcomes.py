"""What the tests of `tests/testrun/projects` do, by hand from their sources: runner -> test id -> status."""

from __future__ import annotations

from katcore.testrun.reports.outcome import Status


def _named(form: str, **statuses: str) -> dict[str, str]:
    return {form.format(name): status for name, status in statuses.items()}


_FOUR = {"passes": "PASSED", "fails": "FAILED", "errors": "ERROR", "skipped": "SKIPPED"}
_NO_ERRORS = _FOUR | {"errors": "FAILED"}
"""For runners to which an exception is a failure like any other."""
_TWO = {"each one two": "PASSED", "each a::b": "PASSED"}
_JEST = _named("calc.test.js::calc::{}", **_NO_ERRORS, later="SKIPPED", **_TWO)
_MOCHA = _named("test/calc.js::calc {}", **_NO_ERRORS, **_TWO)
_HOOK = 'test/calc.js::with a hook "before each" hook for "never runs"'
_RSPEC = _named("spec/calc_spec.rb::calc {}", **_NO_ERRORS, **_TWO) | {"spec/calc_spec.rb::calc is pending": "SKIPPED"}

_EXPECTED: dict[str, dict[str, str]] = {
    "pytest": _named("test_calc.py::test_{}", **_FOUR, **{"each[one two]": "PASSED", "each[a::b]": "PASSED"}),
    "unittest": _named("test_calc.py::Calc::test_{}", **_FOUR, expected="XFAIL", each="FAILED"),
    "go": _named(
        "example.com/kat/calc::Test{}",
        **{"Passes": "PASSED", "Fails": "FAILED", "Skipped": "SKIPPED", "Each": "PASSED", "Each/one_two": "PASSED"},
        **{"Each/a/b": "PASSED"},
    )
    | {
        "example.com/kat/panics::TestBefore": "PASSED",
        "example.com/kat/panics::TestErrors": "FAILED",
        "example.com/kat/unbuilt": "ERROR",
    },
    "cargo": _named("calc/src/lib.rs::tests::{}", passes="PASSED", fails="FAILED", skipped="SKIPPED", panics="PASSED")
    | _named("tests/whole.rs::{}", **{"each::one": "PASSED", "each::two": "PASSED", "errors": "FAILED"})
    | {"calc/doc::src/lib.rs - add": "PASSED"},
    "jest": _JEST | {"unparsed.test.js": "ERROR"},
    "jest-junit": _JEST | {"unparsed.test.js": "ERROR", "calc.test.js::calc::later": "PASSED"},  # it has no word for it
    "vitest": _JEST | {"unparsed.test.js": "ERROR"},
    "vitest-junit": _JEST | {"unparsed.test.js": "FAILED"},
    "mocha": _MOCHA | {_HOOK: "ERROR"},
    "mocha-xunit": _MOCHA | {_HOOK: "FAILED"},
    "node": _named("calc::{}", **_NO_ERRORS, later="XFAIL", **{"each one two": "PASSED", "each #a::b": "PASSED"})
    | {"test/unparsed.test.js": "FAILED"},
    "maven": _named("calc.CalcTest::{}", **_FOUR, **{"each{String}[1]": "PASSED", "each{String}[2]": "PASSED"}),
    "ctest": _FOUR | {"disabled": "SKIPPED", "crashes": "FAILED", "each one two": "PASSED", "each a.b": "PASSED"},
    "phpunit": _named(
        "tests/CalcTest.php::CalcTest::test{}",
        **{"Passes": "PASSED", "Fails": "FAILED", "Errors": "ERROR", "Skipped": "SKIPPED"},
        **{'Each with data set "one two"': "PASSED", "Each with data set #0": "PASSED"},
    ),
    "rspec": _RSPEC,
    "rspec-junit": _RSPEC,
    "nextest": {
        "calc::tests::passes": "PASSED", "calc::tests::fails": "FAILED", "calc::whole::each::one": "PASSED",
        "calc::whole::flaky": "PASSED",
    },
    "gradle": {
        "calc.CalcTest::passes()": "PASSED", "calc.CalcTest::fails()": "FAILED", "calc.CalcTest::skipped()": "SKIPPED",
        "calc.CalcTest::[1] one two": "PASSED",
    },
    "dotnet": {
        "Calc.Tests.CalcTest::Passes": "PASSED", "Calc.Tests.CalcTest::Fails": "FAILED",
        "Calc.Tests.CalcTest::Skipped": "SKIPPED", 'Calc.Tests.CalcTest::Each(text: "one two")': "PASSED",
        "Calc.Tests.CalcTest::TimesOut": "ERROR",
    },
}  # fmt: skip

EXPECTED: dict[str, dict[str, Status]] = _EXPECTED  # type: ignore[assignment]
NOT_RUN = ("nextest", "gradle", "dotnet")
"""Runners that neither PyPI, npm nor Debian provides: reports written by hand in the reporters' published form."""
