"""Verified reference trajectories from a file, and the hooks that keep rollouts near them (method.md § 5.2, 5.3).

In: a stream of graded kat.trajectory records. Out: for each task that has one which passed, a hook for the gateway.
Such a file takes the place of the references that the tasks carry.
"""

from __future__ import annotations

from pathlib import Path

from katcore.errors import InputError
from katcore.gateway.hook import Hook, by_references
from katcore.records import Task, Trajectory
from katcore.references import Rules, actions, steps_of
from katcore.streams import read_records


class Correction:
    """References by task, and the rules. InputError for a trajectory without a verdict, or none that passed."""

    def __init__(self, path: Path, rules: Rules) -> None:
        self.rules = rules
        self._passed: dict[str, list[Trajectory]] = {}
        for line in read_records([path], (Task, Trajectory)):
            found = line.record
            if not isinstance(found, Trajectory):
                continue
            if found.verdict is None:
                where = f"{path}: line {line.number}: trajectory {found.id} has no verdict"
                raise InputError(where, hint="references must be verified: kat-verify grades trajectories")
            if found.verdict.passed and not found.verdict.masked:
                self._passed.setdefault(found.task_id, []).append(found)
        if not self._passed:
            raise InputError(f"{path}: no trajectory in it has passed, so there is nothing to correct by")

    def hook(self, task: Task) -> Hook | None:
        """The hook for one rollout of the task; None when the task has no reference with a tool call."""
        workdir = task.environment.workdir
        paths = [steps_of(found, workdir) for found in self._passed.get(task.instance_id, [])]
        usable = [path for path in paths if actions(path)]
        return by_references(usable, self.rules, workdir) if usable else None
