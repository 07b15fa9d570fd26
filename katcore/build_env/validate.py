"""The instance check: which tests a change turns from failing to passing, and whether it breaks any.

In: the outcomes of several runs before and after. Out: `Finding`. A test fails before when it failed, ended in an error
or was not there; it passes when it passed: skipped and expected failures are neither. Tests whose runs differ are flaky
and belong to no list.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

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


def is_test_id(name: str) -> bool:
    """Whether a name in a report is a test's: a file that could not be collected stands there too."""
    return not name.endswith(".py")


def compare(before: Sequence[TestRun], after: Sequence[TestRun], unstable: Collection[str] = ()) -> Finding:
    """The finding for every test that any run has seen, from runs before and after the change.

    `unstable`: tests known to be flaky for other reasons.
    """
    out = Finding()
    for test in sorted(filter(is_test_id, {test for run in (*before, *after) for test in run.outcomes})):
        was = {run.outcomes.get(test, MISSING) for run in before}
        now = {run.outcomes.get(test, MISSING) for run in after}
        if len(was) > 1 or len(now) > 1 or test in unstable:
            out.flaky.append(test)
        elif was == {"PASSED"}:
            (out.pass_to_pass if now == {"PASSED"} else out.broken).append(test)
        elif was <= {"FAILED", "ERROR", MISSING} and now == {"PASSED"}:
            out.fail_to_pass.append(test)
        else:
            out.excluded.append(test)
    return out
