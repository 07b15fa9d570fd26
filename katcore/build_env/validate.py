"""The instance check: which tests a change turns from failing to passing, and whether it breaks any.

In: the outcomes of several runs before and after. Out: `Finding`. A test fails before when it failed, ended in an error
or was not there; it passes when it passed: skipped and expected failures are neither. Tests whose runs differ are flaky
and belong to no list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from katcore.records import Json
from katcore.testrun.grade import MISSING
from katcore.testrun.run import TestRun


@dataclass
class Finding:
    """Sorted test ids. `broken`: passed before and not after. `excluded`: everything else that is not flaky."""

    fail_to_pass: list[str] = field(default_factory=list)
    pass_to_pass: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    flaky: list[str] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)


def compare(before: Sequence[TestRun], after: Sequence[TestRun]) -> Finding:
    """The finding for every test that any run has seen, from runs before and after the change."""
    out = Finding()
    for test in sorted({test for run in (*before, *after) for test in run.outcomes}):
        if test.endswith(".py"):
            continue  # not a test: a file that could not be collected; its tests are missing
        was = {run.outcomes.get(test, MISSING) for run in before}
        now = {run.outcomes.get(test, MISSING) for run in after}
        if len(was) > 1 or len(now) > 1:
            out.flaky.append(test)
        elif was == {"PASSED"}:
            (out.pass_to_pass if now == {"PASSED"} else out.broken).append(test)
        elif was <= {"FAILED", "ERROR", MISSING} and now == {"PASSED"}:
            out.fail_to_pass.append(test)
        else:
            out.excluded.append(test)
    return out


def evidence_of(state: str, run: TestRun) -> Json:
    """The evidence kept of a run, as JSON, with nothing that differs from one machine to the next."""
    out: Json = {"state": state, "exit_code": run.exit_code, "counts": run.counts(), "outcomes_sha256": run.digest()}
    return out | ({"problem": run.problem} if run.problem else {})
