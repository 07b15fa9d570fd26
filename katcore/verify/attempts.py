"""From input lines to work: pair every trajectory with its task, and let each task pass through once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from katcore.pool import Item
from katcore.records import Task, Trajectory, key_of
from katcore.streams import Line


@dataclass(frozen=True)
class Attempt:
    """One trajectory to grade, and the task it is an attempt at (None: no record of it came)."""

    trajectory: Trajectory
    raw: bytes
    task: Task | None


def task_table(lines: Iterable[Line]) -> dict[str, Task]:
    """Tasks by their id, from a side file."""
    return {line.record.instance_id: line.record for line in lines if isinstance(line.record, Task)}


def attempts(lines: Iterable[Line], tasks: Mapping[str, Task] | None = None) -> Iterator[Item]:
    """Work items in the order of the stream; `tasks` are those that do not travel in it.

    A task that comes twice passes through once: what is downstream needs it once, and `--resume` remembers it.
    """
    known = dict(tasks or {})
    passed: set[str] = set()
    for line in lines:
        record = line.record
        if isinstance(record, Task):
            known[record.instance_id] = record
            if record.instance_id not in passed:
                passed.add(record.instance_id)
                yield Item(key_of(record), shard=record.instance_id, forward=line.raw)
        elif isinstance(record, Trajectory):
            yield Item(
                key_of(record),
                Attempt(record, line.raw, known.get(record.task_id)),
                shard=record.task_id,
                raw=line.raw,
                line=line.number,
                source=line.source,
            )
