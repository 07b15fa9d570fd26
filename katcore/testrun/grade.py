"""Judge outcomes: the semantics of FAIL_TO_PASS and PASS_TO_PASS, as one pure function.

As in SWE-bench, a skipped or missing FAIL_TO_PASS test fails. Stricter than it: a PASS_TO_PASS test must pass as well,
and an expected failure counts for nothing, because `pytest.skip()` and `pytest.xfail()` called from the code under
test would otherwise pass every suite. Tasks lose nothing: a test that is skipped before the change never enters a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from katcore.testrun.reports.outcome import Status

MISSING = "MISSING"


@dataclass(frozen=True)
class Grade:
    """The status of each test of the task's two lists, or MISSING, and whether the attempt passed."""

    f2p: dict[str, str]
    p2p: dict[str, str]
    passed: bool


def judge(outcomes: Mapping[str, Status], fail_to_pass: Sequence[str], pass_to_pass: Sequence[str]) -> Grade:
    """The grade of a run; passed when there is a FAIL_TO_PASS test and each test of both lists has passed."""
    f2p: dict[str, str] = {test: outcomes.get(test, MISSING) for test in fail_to_pass}
    p2p: dict[str, str] = {test: outcomes.get(test, MISSING) for test in pass_to_pass}
    every = [*f2p.values(), *p2p.values()]
    return Grade(f2p, p2p, bool(f2p) and all(status == "PASSED" for status in every))
