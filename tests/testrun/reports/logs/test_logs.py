"""Logs are read as the datasets' parsers read them, and forged or broken ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcore.errors import RecordError
from katcore.testrun.reports import logs
from katcore.testrun.reports.logs import END, KNOWN, START, aligned
from katcore.testrun.reports.outcome import BadReport
from tests.support.expected_logs import FORGED, REAL, SHORT

REPORTS = Path(__file__).parent
SAME = {
    "parse_combined_test_reports": "parse_log_r_junit", "parse_java_mvn": "parse_log_java_mvn",
    "parse_java_mvn_v2": "parse_log_java_mvn_v2", "parse_lua_nvim": "parse_log_lua_nvim",
    "parse_lue_nvim": "parse_log_lua_nvim", "parse_logs_r_junit": "parse_log_r_junit",
    "parse_logs_kotlin_junit": "parse_log_kotlin_junit", "parse_log_sbt": "parse_log_junit",
    "parse_log_ocaml_v5": "parse_log_ocaml_v4", "parse_log_carbon": "parse_log_react_pdf",
    "parse_log_grommet": "parse_log_react_pdf", "parse_log_immutable_js": "parse_log_jest",
}  # fmt: skip
PYTEST = sorted(logs._CUT - {"", "parse_log_cpp", "parse_log_matplotlib"})
SUMMARY = "=== short test summary info ===\n"


def real(name: str) -> bytes:
    return (REPORTS / f"{name}.log").read_bytes()


def read(text: str, parser: str = "parse_log_pytest") -> dict[str, str]:
    return dict(logs.read_log(text.encode(), parser).statuses)


@pytest.mark.parametrize("name", REAL)
def test_a_real_log_is_read_as_its_project_says(name: str) -> None:
    parser, expected = REAL[name]
    assert logs.read_log(real(name), parser).statuses == expected
    assert logs.read_log(real(name).replace(b"\n", b"\r\n"), parser).statuses == expected
    framed = f"+ : '{START}'\n".encode() + real(name) + f"+ : '{END}'\n>>>>> Test Exit Code: 1\n".encode()
    assert logs.read_log(framed, parser).statuses == expected


@pytest.mark.parametrize("name", SHORT)
def test_a_log_in_the_form_of_its_runner_is_read(name: str) -> None:
    text, expected = SHORT[name]
    assert read(text, f"parse_log_{name}") == expected
    coloured = "\n".join(f"\x1b[1m{line}\x1b[0m" if line else line for line in text.split("\n"))
    assert read(coloured, f"parse_log_{name}") == expected
    for other in (other for other, same in SAME.items() if same == f"parse_log_{name}"):
        assert read(text, other) == expected


def test_every_known_parser_reads_some_log_here() -> None:
    tried = {parser for parser, _ in REAL.values()} | {f"parse_log_{name}" for name in SHORT} | set(SAME) | set(PYTEST)
    assert KNOWN - tried == {"parse_log_matplotlib"}
    assert read(f"{SUMMARY}PASSED t.py::a[MouseButton.LEFT]\n1 passed in 0.1s\n", "parse_log_matplotlib") == {
        "t.py::a[1]": "PASSED"
    }


@pytest.mark.parametrize("parser", PYTEST)
def test_every_name_of_pytest_reads_a_summary(parser: str) -> None:
    found = logs.read_log(real("pytest"), parser).statuses
    option = "/b" if parser in ("parse_log_pytest_options", "parse_log_pydicom", "parse_log_requests",
                                "parse_log_pylint") else "/tmp/a/b"  # fmt: skip
    assert f"tests/test_calc.py::test_parameters[{option}]" in found and len(found) == 17


@pytest.mark.parametrize("name", FORGED)
def test_a_log_with_more_passed_tests_than_the_runner_counts_is_refused(name: str) -> None:
    with pytest.raises(BadReport, match="as PASSED and"):
        logs.read_log(real(name), FORGED[name])


@pytest.mark.parametrize(
    ("log", "parser"),
    [
        ("test a ... ok\ntest b ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored\n", "parse_log_cargo"),
        ("A#a = 0 s = .\nA#b = 0 s = .\n2 runs, 1 assertions, 0 failures, 0 errors, 1 skips\n", "parse_log_ruby_v2"),
        ("test_a ok\ntest_b ok\n tests finished: 1 passed, 1 skipped, \nin 0.01 seconds\n", "parse_log_sympy"),
    ],
)
def test_a_runner_that_counts_fewer_passed_tests_is_believed(log: str, parser: str) -> None:
    with pytest.raises(BadReport, match="2 tests as"):
        read(log, parser)


def test_cargos_list_of_failures_stands_against_an_ok_between() -> None:
    log = "test a ... words\nok\ntest b - should panic ... ok\nfailures:\n    a\n\n"
    log += "test result: FAILED. 1 passed; 1 failed\n"
    assert read(log, "parse_log_cargo") == {"a": "FAILED"}


def test_passed_lines_that_a_test_prints_are_no_results() -> None:
    assert b"\nPASSED tests/test_calc.py::test_skipped\n" in real("pytest")
    found = logs.read_log(real("pytest"), "parse_log_pytest").statuses
    assert "tests/test_calc.py::test_skipped" not in found and found["tests/test_calc.py::test_errs"] == "ERROR"


def test_an_ok_that_a_failing_test_prints_does_not_help_it() -> None:
    assert b"test tests::fails ... ok\n" in real("cargo")
    assert logs.read_log(real("cargo"), "parse_log_cargo").statuses["tests::fails"] == "FAILED"
    assert read("--- PASS: TestA (0.00s)\n--- FAIL: TestA (0.00s)\n", "parse_log_gotest") == {"TestA": "FAILED"}


def test_markers_that_a_test_prints_take_nothing_away() -> None:
    inner = f"{END}\n>>>>> Test Exit Code: 0\n{START}\n✓ forged\n"
    log = f"+ : '{START}'\n✕ cuts\n{inner}✓ adds\n+ : '{END}'\n>>>>> Test Exit Code: 1\n"
    assert read(log, "parse_log_jest") == {"cuts": "FAILED", "forged": "PASSED", "adds": "PASSED"}


@pytest.mark.parametrize("log", [f"{START}\n✓ a\n", f"✓ a\n{END}\n", f"{END}\n{START}\n"])
def test_a_log_with_one_marker_is_refused(log: str) -> None:
    with pytest.raises(BadReport, match="cut off"):
        read(log, "parse_log_jest")


@pytest.mark.parametrize("name", REAL)
def test_a_log_that_is_cut_off_names_no_other_tests(name: str) -> None:
    parser, whole = REAL[name]
    data = real(name)
    for end in range(0, len(data), max(1, len(data) // 60)):
        try:
            part = logs.read_log(data[:end], parser).statuses
        except BadReport:
            continue
        assert set(part) <= set(whole)


@pytest.mark.parametrize(
    "parser", ["parse_log_pytest", "parse_log_django", "parse_log_sympy", "parse_log_cargo", "parse_log_ruby_v2"]
)
def test_a_log_without_the_runners_own_end_is_refused(parser: str) -> None:
    start = {
        "parse_log_pytest": f"{SUMMARY}PASSED t.py::a\n", "parse_log_django": "a (t.A) ... ok\n",
        "parse_log_sympy": "test_a ok\n", "parse_log_cargo": "test a ... ok\n",
        "parse_log_ruby_v2": "A#test_a = 0.1 s = .\n",
    }  # fmt: skip
    with pytest.raises(BadReport, match="cut off"):
        read(start[parser], parser)


@pytest.mark.parametrize("parser", sorted(KNOWN))
def test_nothing_and_words_are_no_tests(parser: str) -> None:
    assert read("", parser) == read("\n\n", parser) == read(f"{START}\n{END}\n", parser) == {}
    assert read("Collecting packages\nall of them\n", parser) == {}


def test_the_worst_entry_of_a_test_counts() -> None:
    outcomes = logs.read_log("✓ a\n○ a\n✓ b (3 ms)\n✕ b (4 ms)\n✓ b\n".encode(), "parse_log_jest")
    assert outcomes.statuses == {"a": "SKIPPED", "b": "FAILED"} and outcomes.repeated == {"a": 2, "b": 3}


def test_ids_are_compared_as_datasets_spell_them() -> None:
    pytest_log = logs.read_log(real("pytest"), "parse_log_pytest").statuses
    file = "tests/test_calc.py"
    expected = {
        f"{file}::test_adds": "PASSED",
        f"{file}::test_parameters[two": "PASSED", f"{file}::test_parameters[a": "PASSED",
        f"{file}::test_parameters[a - b]": "PASSED", f"{file}::test_bad_parameters[x": "FAILED",
        f"{file}::test_parameters[ok s]]": "PASSED", f"{file}::test_expected - known - bug": "XFAIL",
    }  # fmt: skip
    assert aligned(pytest_log, [*expected, f"{file}::test_parameters[t", "no"], "parse_log_pytest_v2") == expected
    assert aligned({"t[a b]": "PASSED", "t[a c]": "FAILED"}, ["t[a"], "") == {"t[a": "FAILED"}
    assert aligned({"t[a c]": "FAILED", "t[a b]": "PASSED"}, ["t[a"], "") == {"t[a": "FAILED"}
    assert aligned({"a b": "PASSED"}, ["a"], "parse_log_jest") == {}
    django_log = logs.read_log(real("django"), "parse_log_django").statuses
    moved = "Applying auth.0012_alter_user...test_saves (shop.tests.ItemTests.test_saves)"
    assert aligned(django_log, [moved], "parse_log_django") == {moved: "PASSED"}


def test_times_are_taken_out_of_both_sides() -> None:
    log = "  ✔ Adds [1.34 ms]\n  ✔ Waits in 3 sec more\n  ✔ Cuts (12ms)\n"
    found = logs.read_log(f"Calc (App\\Calc)\n{log}".encode(), "parse_log_phpunit").statuses
    assert set(found) == {"Calc > Adds", "Calc > Waits more", "Calc > Cuts"}
    asked = ["Calc > Adds [99 ms]", "Calc > Waits in 7.5 sec more", "Calc > Cuts"]
    assert aligned(found, asked, "parse_log_phpunit") == dict.fromkeys(asked, "PASSED")
    assert read(f"{SUMMARY}PASSED t.py::a[10 ms]\n1 passed in 1s\n") == {"t.py::a[10 ms]": "PASSED"}


@pytest.mark.parametrize("parser", ["parse_log_marked", "parse_log_nobody", "pytest"])
def test_an_unknown_parser_is_named(parser: str) -> None:
    with pytest.raises(RecordError, match=f"unknown parser of logs '{parser}'"):
        read("PASSED a\n", parser)


def test_skips_of_a_whole_module_do_not_count_against_passed_tests() -> None:
    log = f"{SUMMARY}PASSED t.py::a\nSKIPPED [3] t.py:4: no\n=== 1 passed, 3 skipped in 0.12 seconds ===\n"
    assert read(log) == {"t.py::a": "PASSED"}


_LINES = sorted({line for name in REAL for line in real(name).split(b"\n")})
_SHORT = sorted({line.encode() for text, _ in SHORT.values() for line in text.split("\n")})
_MARKS = [START.encode(), END.encode(), b"=== short test summary info ===", b"Ran 1 test in 0.1s", b"\x1b[0m", b"\x00"]
_LOG = st.one_of(
    st.binary(max_size=300),
    st.lists(st.one_of(st.sampled_from(_LINES + _SHORT + _MARKS), st.binary(max_size=20)), max_size=30).map(b"\n".join),
)


@settings(max_examples=300, deadline=None)
@given(_LOG, st.sampled_from(sorted(KNOWN)))
def test_any_bytes_are_read_or_refused(data: bytes, parser: str) -> None:
    try:
        found = logs.read_log(data, parser)
    except BadReport as error:
        assert "\n" not in str(error)
    else:
        assert aligned(found.statuses, found.statuses, parser) == found.statuses
