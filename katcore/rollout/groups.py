"""Which samples of a task are worth drawing, decided by the rewards of those that are there.

In: a task's attempts, a way to roll one out, a way to grade. Out: the group's graded trajectories, `group_size` as it
came out. `probe`: the first so many are drawn alone, and where all fail or all pass the outcome is decided and the rest
left out. `resample`: a group whose rewards are all equal teaches nothing (its advantages are zero); more are drawn in
rounds until one differs. Decisions fall between rounds only, so that they do not depend on `-j`. Grading belongs to
another room: whoever composes the two hands it in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import msgspec

from katcore.pool import Item
from katcore.records import Task, Trajectory, item_key, key_of
from katcore.rollout.attempts import Attempt, Setup, attempt_at
from katcore.streams import Line

Grade = Callable[[Trajectory, Task], Trajectory]


@dataclass(frozen=True)
class Groups:
    """Rolls out and grades whole groups; `roll` returns one attempt's trajectories, `jobs` rollouts run at once."""

    setup: Setup
    roll: Callable[[Item], Iterable[Trajectory]]
    grade: Grade
    jobs: int = 1

    def __call__(self, item: Item) -> Iterator[Trajectory]:
        task: Task = item.payload
        draw, samples = self.setup.options.draw, self.setup.options.number.samples
        first = draw.probe or samples
        made = self._draw(task, range(first))
        if not (draw.probe and level(made)):
            made += self._draw(task, range(first, samples))
            last = samples + draw.resample
            while level(made) and (there := _drawn(made)) < last:
                made += self._draw(task, range(there, min(there + samples, last)))
        size = _drawn(made)
        for each in made:
            yield each if is_cut(each) else msgspec.structs.replace(each, group_size=size)

    def close(self) -> None:
        """Close what rolls out attempts."""
        close = getattr(self.roll, "close", None)
        if close is not None:
            close()

    def _draw(self, task: Task, samples: Sequence[int]) -> list[Trajectory]:
        found = _threads(self.jobs).map(self._one, [attempt_at(task, self.setup, sample) for sample in samples])
        return [trajectory for made in found for trajectory in made]

    def _one(self, attempt: Attempt) -> list[Trajectory]:
        item = Item(item_key(Trajectory, attempt.id), attempt)
        return [self.grade(made, attempt.task) for made in self.roll(item)]


def level(made: Iterable[Trajectory]) -> bool:
    """Whether all unmasked rewards are equal."""
    verdicts = [each.verdict for each in made if not is_cut(each) and each.verdict]
    return len({verdict.reward for verdict in verdicts if not verdict.masked}) < 2


def is_cut(trajectory: Trajectory) -> bool:
    """Whether the trajectory was given up and drawn again, and so is no member of its group."""
    return trajectory.group_id.endswith(CUT)


CUT = ":cut"


def groups(lines: Iterable[Line], setup: Setup) -> Iterator[Item]:
    """Each task's line once, then one item for all its samples, under the first sample's key."""
    passed: set[str] = set()
    for line in lines:
        task = line.record
        if not isinstance(task, Task) or task.instance_id in passed:
            continue
        passed.add(task.instance_id)
        yield Item(key_of(task), shard=task.instance_id, forward=line.raw)
        yield replace(item_of(task, setup), raw=line.raw, line=line.number, source=line.source)


def item_of(task: Task, setup: Setup) -> Item:
    """All samples of a task as one item."""
    return Item(item_key(Trajectory, attempt_at(task, setup, 0).id), task, task.instance_id)


def _drawn(made: Iterable[Trajectory]) -> int:
    return sum(not is_cut(each) for each in made)


@cache
def _threads(jobs: int) -> ThreadPoolExecutor:
    """The thread pool of all groups in this process, so that no more than `jobs` rollouts run at once."""
    return ThreadPoolExecutor(jobs, thread_name_prefix="kat-sample")
