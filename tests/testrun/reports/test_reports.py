"""Reports that real runners wrote about the tiny projects of `tests/testrun/projects` are read as their sources say.

The files of this folder are the runners' own (`make test-runners` writes them again); those of runners that cannot be
installed here are written by hand in the reporters' published form.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from katcore.errors import RecordError
from katcore.records import Environment, Report
from katcore.testrun.reports import bundle, gotest, jest, junit, libtest, mocha, outcome, rspec, tap, trx
from katcore.testrun.reports.outcome import BadReport, Outcomes
from katcore.testrun.runners import RUNNERS, runner_of, units_of
from tests.support.expected_outcomes import EXPECTED, NOT_RUN

REPORTS = Path(__file__).parent


def golden(name: str) -> bytes:
    return (REPORTS / f"{name}.{RUNNERS[name].report.rpartition('.')[2]}").read_bytes()


@pytest.mark.parametrize("name", RUNNERS)
def test_every_test_of_the_project_is_read(name: str) -> None:
    outcomes = RUNNERS[name].read(golden(name), "/testbed")
    assert outcomes.statuses == EXPECTED[name]
    assert all(0 <= seconds < 120 for seconds in outcomes.seconds.values())


@pytest.mark.parametrize("name", RUNNERS)
def test_a_success_does_not_agree_with_a_failure(name: str) -> None:
    runner, outcomes = RUNNERS[name], RUNNERS[name].read(golden(name), "/testbed")
    passed = Outcomes(dict.fromkeys(outcomes.statuses, "PASSED"))
    code = max(runner.failed)
    assert runner.agrees(code, outcomes) and not runner.agrees(0, outcomes)
    assert runner.agrees(0, passed) and not runner.agrees(code, passed) and not runner.agrees(-9, outcomes)


@pytest.mark.parametrize("name", RUNNERS)
def test_a_report_that_is_cut_off_names_no_other_tests(name: str) -> None:
    """Wherever it is cut: refused, or (a format of lines, cut between two packages) a part of the whole."""
    whole, data = RUNNERS[name].read(golden(name), "/testbed").statuses, golden(name)
    steps = range(0, len(data) - 2, max(1, len(data) // 150))
    refused = 0
    for end in steps:
        try:
            part = RUNNERS[name].read(data[:end], "/testbed").statuses
        except BadReport:
            refused += 1
        else:
            assert set(part) < set(whole) or part == whole
    assert refused > 10


@pytest.mark.parametrize("name", RUNNERS)
@pytest.mark.parametrize("noise", [b"\xff\xfe\x00", b"\x00" * 100, b"{" * 100_000, b"[" * 100_000, b"<a>" * 100_000])
def test_noise_is_refused_or_says_nothing(name: str, noise: bytes) -> None:
    try:
        assert RUNNERS[name].read(noise, "/testbed").statuses == {}
    except BadReport as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize("name", RUNNERS)
def test_bytes_that_are_no_utf8_become_escapes_or_are_refused(name: str) -> None:
    data = golden(name).replace(b"asses", b"a\xffes")
    try:
        tests = RUNNERS[name].read(data, "/testbed").statuses
    except BadReport:
        return
    assert any("\\xff" in test for test in tests)
    "".join(tests).encode()


READERS = (
    junit.read_junit,
    bundle.read_bundle,
    gotest.read_gotest,
    jest.read_jest,
    mocha.read_mocha,
    rspec.read_rspec,
    libtest.read_libtest,
    tap.read_tap,
    trx.read_trx,
)


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__module__.rpartition(".")[2])
def test_a_report_that_is_too_large_is_not_read(read: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome, "MAX_BYTES", 100)
    with pytest.raises(BadReport, match="more than 100"):
        read(b" " * 101)  # type: ignore[operator]


def test_half_a_character_in_json_becomes_an_escape() -> None:
    seen = Outcomes()
    seen.add("a\ud800", "PASSED")
    assert list(seen.statuses) == ["a\\ud800"]


def test_deep_xml_is_refused() -> None:
    for read, root in ((junit.read_junit, b"testsuites"), (trx.read_trx, b"TestRun")):
        with pytest.raises(BadReport, match="nested"):
            read(b"<" + root + b">" + b"<x>" * 200)


def test_entities_are_refused_in_trx_too() -> None:
    with pytest.raises(BadReport, match="document type"):
        trx.read_trx(b'<!DOCTYPE x [<!ENTITY a "aaaa">]><TestRun>&a;</TestRun>')


def test_go_says_how_every_package_ended_and_which_tests_did_not() -> None:
    began = b'{"Action":"run","Package":"p","Test":"TestA"}\n'
    with pytest.raises(BadReport, match="package p"):
        gotest.read_gotest(began)
    assert gotest.read_gotest(began + b'{"Action":"fail","Package":"p"}\n').statuses == {"p::TestA": "ERROR"}
    assert gotest.read_gotest(b'{"Action":"fail","Package":"p"}\n').statuses == {"p": "ERROR"}
    assert gotest.read_gotest(b'{"Action":"skip","Package":"p"}\n').statuses == {}


def test_a_program_that_ends_early_has_no_summary_in_cargo_s_text() -> None:
    text = b"     Running unittests src/lib.rs (target/debug/deps/calc-0123456789abcdef)\n\n"
    text += b"running 2 tests\ntest a ... ok\n"
    with pytest.raises(BadReport, match="no summary"):
        libtest.read_libtest(text)
    end = b"test b ... ok\n\ntest result: ok. %d passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
    assert list(libtest.read_libtest(text + end % 2).statuses) == ["calc/src/lib.rs::a", "calc/src/lib.rs::b"]
    with pytest.raises(BadReport, match="no summary"):
        libtest.read_libtest(text + end % 3)


@pytest.mark.parametrize("odd", ["\f", "\x1c", "\u2028", "\x85", "\v"], ids=repr)
def test_only_newlines_end_the_lines_of_a_report(odd: str) -> None:
    name = f"a{odd}test b ... FAILED"
    text = "     Running unittests src/lib.rs (target/debug/deps/calc-0123456789abcdef)\n\n"
    text += f"running 1 test\ntest {name} ... ok\n\n"
    text += "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
    assert libtest.read_libtest(text.encode()).statuses == {f"calc/src/lib.rs::{name}": "PASSED"}
    event = json.dumps({"Action": "pass", "Package": "p", "Test": f"a{odd}"}, ensure_ascii=odd < " ") + "\n"
    ended = '{"Action":"pass","Package":"p"}\n'
    assert gotest.read_gotest((event + ended).encode()).statuses == {f"p::a{odd}": "PASSED"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1..2\nok 1 - a\n", "planned"),
        ("ok 1 - a\n", "planned"),
        ("1..1\nok 2 - a\n", "comes as number"),
        ("1..1\nBail out! no\nok 1\n", "given up"),
        ("1..1\nok 1 - a\n  ---\n  x: 1\n", "cut off"),
        ("    ok 1 - a\n    1..1\n1..0\n", "cut off"),
        ("    " * 200 + "ok 1\n", "nested"),
    ],
)
def test_tap_that_does_not_fit_its_plan_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadReport, match=said):
        tap.read_tap(text.encode())


def test_tap_of_other_producers() -> None:
    text = "1..5\r\nok\nnot ok 2 some name # TODO later\nok 3 - a \\# b # skip no\nnot ok 4 - c\n# note\nok 5 # SKIP\n"
    assert tap.read_tap(text.encode()).statuses == {
        "test 1": "PASSED", "some name": "XFAIL", "a # b": "SKIPPED", "c": "FAILED", "test 5": "SKIPPED",
    }  # fmt: skip


def test_a_tap_suite_that_fails_by_itself_is_an_error() -> None:
    text = "    ok 1 - a\n    1..1\nnot ok 1 - /testbed/x.js\n1..1\n"
    assert tap.read_tap(text.encode(), "/testbed").statuses == {"x.js::a": "PASSED", "x.js": "ERROR"}


def test_counts_that_do_not_fit_are_refused() -> None:
    for name, old, new in (
        ("jest", b'"numTotalTests":7', b'"numTotalTests":8'),
        ("mocha", b'"passes": 3', b'"passes": 4'),
        ("rspec", b'"example_count":7', b'"example_count":6'),
    ):
        assert old in golden(name), name
        with pytest.raises(BadReport, match="list"):
            RUNNERS[name].read(golden(name).replace(old, new, 1), "/testbed")


def test_an_archive_s_links_and_other_files_are_passed_over() -> None:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        link = tarfile.TarInfo("TEST-a.xml")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
        archive.addfile(tarfile.TarInfo("notes.txt"))
    assert bundle.read_bundle(data.getvalue()).statuses == {}


def test_units_are_what_each_runner_can_be_asked_for() -> None:
    def asked(name: str, *tests: str) -> list[str]:
        return RUNNERS[name].units(units_of(tests))

    assert asked("pytest", "a.py::x", "a.py::y", "b.py::z") == ["a.py", "b.py"]
    assert asked("cargo", "calc/src/lib.rs::a", "tests/whole.rs::b") == ["--lib", "--test", "whole"]
    assert asked("cargo", "calc/doc::src/lib.rs - add") == []
    assert asked("maven", "p.A::x", "p.B::y") == ["-Dtest=p.A,p.B"]
    assert asked("ctest", "a.b", "c d") == ["-R", "^(a\\.b|c d)$"]
    assert asked("nextest", "calc::whole::x") == ["-E", "package(=calc)"]
    assert asked("dotnet", "N.A::x") == ["--filter", "FullyQualifiedName~N.A"]
    assert asked("phpunit", "a.php::x", "b.php::y") == [] and asked("phpunit", "a.php::x") == ["a.php"]
    assert asked("node", "calc::passes") == [] and asked("node", "test/a.test.js::x") == ["test/a.test.js"]
    assert all(runner.units([]) == [] for runner in RUNNERS.values())


def test_a_task_with_an_unknown_runner_says_so() -> None:
    assert runner_of(Environment()) is RUNNERS["pytest"]
    with pytest.raises(RecordError, match="unknown kind of report 'tox'"):
        runner_of(Environment(report=Report(kind="tox")))


def test_every_runner_has_a_project_or_is_listed_as_not_run() -> None:
    projects = {path.name for path in (REPORTS.parent / "projects").iterdir()}
    assert {name.split("-")[0] for name in RUNNERS} == projects | set(NOT_RUN)


@pytest.mark.parametrize("name", ["node", "dotnet", "pytest"])
def test_more_tests_than_any_project_has_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (outcome, tap, trx):
        monkeypatch.setattr(module, "MAX_TESTS", 3)
    with pytest.raises(BadReport, match="more than 3 tests"):
        RUNNERS[name].read(golden(name), "/testbed")
