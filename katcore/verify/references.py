"""Verdicts by several ground truths: how near an attempt's actions came to the nearest reference (method.md § 5.1).

In: a task with `verification.references`, an attempt. Out: a verdict whose reward is 1 − min_j d(o, g_j), in [0, 1].
It is compared inside a group, never across tasks; `passed` therefore means only that the reward reaches `PASSES`.
"""

from __future__ import annotations

from katcore.records import Task, Trajectory, Verdict
from katcore.references import actions, discrepancy, references_of, steps_of

PASSES = 0.999
"""The reward from which an attempt counts as passed: it did what a reference does."""


def verdict(task: Task, trajectory: Trajectory) -> Verdict:
    """The verdict by the nearest of the task's references. InputError for malformed references or none."""
    workdir = task.environment.workdir
    own = actions(steps_of(trajectory, workdir))
    known = [actions(reference) for reference in references_of(task)]
    apart = [discrepancy(own, reference) if own and reference else 1.0 for reference in known]  # nothing is not a match
    least = min(apart, default=1.0)
    reward = round(1 - least, 6)
    return Verdict(
        reward=reward,
        passed=reward >= PASSES,
        parts={"discrepancy": [round(value, 6) for value in apart], "nearest": apart.index(least) if apart else -1},
        reason="passed" if reward >= PASSES else f"{least:.3f} from the nearest of {len(apart)} references",
        evidence={"actions": len(own)},
    )
