"""Rollouts and their grading as one stage: the one place where the two rooms are put together.

In: a setup, what rolls out, what grades. Out: a process and the items that it takes, for the command and for the loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from katcore.pool import Item
from katcore.records import Task, Trajectory
from katcore.rollout.attempts import Setup, attempts
from katcore.rollout.groups import Grade, Groups, groups
from katcore.rollout.options import RolloutOptions
from katcore.rollout.roller import Roller
from katcore.streams import Line
from katcore.verify.grader import Grader
from katcore.verify.options import TestOptions
from katcore.verify.verifier import Verifier


@dataclass(frozen=True)
class Stage:
    """`items` makes work of a stream of tasks, each task's line first; `process` does it."""

    items: Callable[[Iterable[Line]], Iterator[Item]]
    process: Callable[[Item], Iterable[Any]]


@dataclass(frozen=True)
class Graded:
    """Rolls out, and gives each trajectory its verdict."""

    roll: Callable[[Item], Iterable[Trajectory]]
    grade: Grade

    def __call__(self, item: Item) -> Iterator[Trajectory]:
        task: Task = item.payload.task
        for trajectory in self.roll(item):
            yield self.grade(trajectory, task)


def grader_of(options: RolloutOptions) -> Grade | None:
    """What grades samples for `--probe` and `--resample`; None where neither asks for it."""
    if not (options.draw.probe or options.draw.resample):
        return None
    return Verifier(Grader(TestOptions(boxes=options.boxes, timeout=options.times.grade_timeout))).graded


def stage_of(setup: Setup, roller: Roller, grade: Grade | None, jobs: int) -> Stage:
    """The stage of a setup: whole groups where rewards decide what is drawn, else one attempt after the other."""
    if grade is not None and (setup.options.draw.probe or setup.options.draw.resample):
        return Stage(lambda lines: groups(lines, setup), Groups(setup, roller, grade, jobs))
    return Stage(lambda lines: attempts(lines, setup), roller if grade is None else Graded(roller, grade))
