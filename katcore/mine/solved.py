"""Harbor tasks with the patch that their reference solution makes, while they are read.

In: work items of `katcore.dataset`. Out: their lines with `patch`; a task whose solution fails is a dead letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import msgspec

from katcore.dataset.solve import solved
from katcore.pool import Item
from katcore.records import Task
from katcore.sandbox import sandbox
from katcore.streams import splice


@dataclass(frozen=True)
class Solved:
    """Makes the lines of tasks with `read`, and runs their solutions in the sandbox that `boxes` names."""

    read: Callable[[Item], Iterable[bytes]]
    boxes: str

    def __call__(self, item: Item) -> Iterator[bytes]:
        """The lines of one item."""
        for line in self.read(item):
            task = solved(msgspec.json.decode(line, type=Task), sandbox(self.boxes))
            yield splice(line, patch=task.patch)
