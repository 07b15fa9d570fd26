"""Verdicts by several ground truths: how near an attempt's actions came to the nearest reference (method.md § 5.1).

In: a task with `verification.references`, an attempt. Out: a verdict whose reward is 1 − min_j d(o, g_j), in [0, 1],
times the share of the known change's files that the attempt has changed in the end, where both are known: what was
undone does not count. It is compared inside a group, never across tasks; `passed` therefore means only that the reward
reaches `PASSES`.
"""

from __future__ import annotations

from collections.abc import Sequence

from katcore.records import Task, Trajectory, Verdict
from katcore.references import Action, actions, discrepancy, references_of, steps_of
from katcore.source.diff import paths

PASSES = 0.999
"""The reward from which an attempt counts as passed: it did what a reference does."""


LEAST_ACTIONS, TIMES = 1000, 20
"""An attempt of more actions than the one, and than the other times the longest reference's, is near to none: aligning
takes time that grows with both, and its distance is beyond 1 − 1 / TIMES anyhow."""


def verdict(task: Task, trajectory: Trajectory) -> Verdict:
    """The verdict by the nearest of the task's references. InputError for malformed references or none."""
    workdir = task.environment.workdir
    own = actions(steps_of(trajectory, workdir))
    known = [actions(reference) for reference in references_of(task)]
    apart = [_apart(own, reference) for reference in known]
    least = min(apart, default=1.0)
    nearest = apart.index(least) if apart else -1
    kept = _kept(task, trajectory, nearest)
    reward = round((1 - least) * kept, 6)
    reason = f"{least:.3f} from the nearest of {len(apart)} references"
    if kept < 1:
        reason += f"; {kept:.3f} of the files of the known change are changed"
    return Verdict(
        reward=reward,
        passed=reward >= PASSES,
        parts={"discrepancy": [round(value, 6) for value in apart], "nearest": nearest, "kept": round(kept, 6)},
        reason="passed" if reward >= PASSES else reason,
        evidence={"actions": len(own)},
    )


def _apart(own: Sequence[Action], reference: Sequence[Action]) -> float:
    if not own or not reference or len(own) > max(LEAST_ACTIONS, TIMES * len(reference)):
        return 1.0  # nothing is not a match
    return discrepancy(own, reference)


def _kept(task: Task, trajectory: Trajectory, nearest: int) -> float:
    """The share of the files of the nearest reference's change, or of the task's own, that the attempt's change has."""
    reference = (task.verification.references or [])[nearest] if nearest >= 0 else {}
    given = reference.get("patch")
    wanted = set(paths(task.patch if given is None else str(given)))
    if not wanted or trajectory.patch is None:
        return 1.0
    return len(wanted & set(paths(trajectory.patch))) / len(wanted)
