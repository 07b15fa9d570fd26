"""Trajectories as work items of a stage: tasks pass through, each trajectory keeps the fields that are not KAT's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import msgspec

from katcore.pool import Item
from katcore.records import Task, Trajectory, encode, key_of
from katcore.streams import Line, splice
from katcore.trajectory.order import ordered
from katcore.trajectory.trim import TrimLimits, trim


def items(lines: Iterable[Line], *, tasks: bool = True) -> Iterator[Item]:
    """One item a trajectory; its payload is the line. Not `tasks`: they are left out."""
    passed: set[str] = set()
    for line in lines:
        record = line.record
        if isinstance(record, Task):
            if tasks and record.instance_id not in passed:
                passed.add(record.instance_id)
                yield Item(key_of(record), shard=record.instance_id, forward=line.raw)
        elif isinstance(record, Trajectory):
            key = key_of(record)
            yield Item(key, line, shard=record.task_id, raw=line.raw, line=line.number, source=line.source)


@dataclass(frozen=True)
class Trimmer:
    """Trims trajectories, and orders them if asked to; one that does not change passes through byte for byte."""

    limits: TrimLimits
    order: bool = False

    def __call__(self, item: Item) -> Iterator[bytes]:
        line: Line = item.payload
        assert isinstance(line.record, Trajectory)
        made = trim(line.record, self.limits)
        made = ordered(made) if self.order else made
        if made is line.record:
            yield line.raw
        else:
            yield splice(line.raw, **msgspec.json.decode(encode(made), type=dict[str, msgspec.Raw]))
