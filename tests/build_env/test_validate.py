"""Which tests count, from the outcomes of several runs."""

from __future__ import annotations

from katcore.build_env.validate import compare
from katcore.testrun.reports.outcome import Status
from katcore.testrun.run import TestRun


def runs(*outcomes: dict[str, Status]) -> list[TestRun]:
    return [TestRun(outcomes=each) for each in outcomes]


def test_every_kind_of_test_finds_its_list() -> None:
    before: dict[str, Status] = {
        "failed": "FAILED", "error": "ERROR", "passes": "PASSED", "breaks": "PASSED", "goes": "PASSED",
        "skipped-then-passes": "SKIPPED", "xfail-then-passes": "XFAIL", "becomes-skipped": "PASSED",
        "still-fails": "FAILED", "fails-then-skipped": "FAILED", "fails-then-xfail": "FAILED",
    }  # fmt: skip
    after: dict[str, Status] = {
        "failed": "PASSED", "error": "PASSED", "new": "PASSED", "passes": "PASSED", "breaks": "FAILED",
        "skipped-then-passes": "PASSED", "xfail-then-passes": "PASSED", "becomes-skipped": "SKIPPED",
        "still-fails": "FAILED", "fails-then-skipped": "SKIPPED", "fails-then-xfail": "XFAIL", "new-fails": "FAILED",
    }  # fmt: skip
    found = compare(runs(before, before, before), runs(after, after, after))
    assert found.fail_to_pass == ["error", "failed", "new"]
    assert found.pass_to_pass == ["passes"]
    assert found.broken == ["becomes-skipped", "breaks", "goes"]
    assert found.flaky == []
    assert set(found.excluded) == {
        "skipped-then-passes", "xfail-then-passes", "still-fails", "fails-then-skipped", "fails-then-xfail",
        "new-fails",
    }  # fmt: skip


def test_one_odd_run_on_either_side_makes_a_test_flaky() -> None:
    passed: dict[str, Status] = {"a": "PASSED", "b": "PASSED", "c": "PASSED"}
    found = compare(
        runs({**passed, "a": "FAILED"}, passed, passed), runs(passed, passed, {"a": "PASSED", "b": "PASSED"})
    )
    assert found.flaky == ["a", "c"] and found.pass_to_pass == ["b"] and found.broken == []


def test_a_file_that_cannot_be_collected_is_no_test() -> None:
    found = compare(runs({"tests/test_x.py": "ERROR"}), runs({"tests/test_x.py::test_a": "PASSED"}))
    assert found.fail_to_pass == ["tests/test_x.py::test_a"] and found.excluded == []
