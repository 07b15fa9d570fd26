"""What passes, and above all what does not."""

from __future__ import annotations

import pytest

from katcore.testrun.grade import judge
from katcore.testrun.reports.outcome import Status


def test_all_passed() -> None:
    grade = judge({"f": "PASSED", "p": "PASSED", "other": "FAILED"}, ["f"], ["p"])
    assert grade.passed and grade.f2p == {"f": "PASSED"} and grade.p2p == {"p": "PASSED"}


@pytest.mark.parametrize("status", ["FAILED", "ERROR", "SKIPPED", "XFAIL", "XPASS"])
def test_anything_else_is_a_failure_in_either_list(status: Status) -> None:
    assert not judge({"f": status, "p": "PASSED"}, ["f"], ["p"]).passed
    assert not judge({"f": "PASSED", "p": status}, ["f"], ["p"]).passed


def test_a_missing_test_is_a_failure() -> None:
    assert judge({"p": "PASSED"}, ["f"], ["p"]).f2p == {"f": "MISSING"}
    assert not judge({"p": "PASSED"}, ["f"], ["p"]).passed
    assert not judge({"f": "PASSED"}, ["f"], ["p"]).passed


def test_nothing_to_prove_proves_nothing() -> None:
    assert not judge({}, [], []).passed
    assert not judge({"p": "PASSED"}, [], ["p"]).passed
