"""Other people's datasets as tasks, and tasks as other people's datasets.

In: files and folders on disk in one of `FORMATS`; nothing is fetched. Out: lines of kat.task whose extra field
`dataset` (`origin.py`) holds what the format has and a task has not, so that `row_of` gives each row back field for
field. A format is a module with `to_task` and `from_task`, pure functions on one row; `FORMATS` says where they are and
how their files are read and written. How a task is judged stays a matter of its verification: this part runs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from katcore.dataset import (
    benchmark,
    constraints,
    functions,
    harbor,
    multi_swe,
    programs,
    rows,
    swe_bench,
    swe_rebench,
    swe_smith,
    swe_tree,
)
from katcore.dataset.origin import FIELD, origin_of, remember, restore
from katcore.dataset.rows import LocatedRow
from katcore.errors import RecordError
from katcore.pool import Item
from katcore.records import Json, Task, encode, item_key
from katcore.streams import Line, splice

KAT_TASK = "tests/task.json"
"""Where a Harbor folder of ours holds the whole task."""


@dataclass(frozen=True)
class DatasetFormat:
    """One format: a row becomes a task and a task a row; `needs` are fields that a row must have."""

    to_task: Callable[[Json], Task]
    from_task: Callable[[Task], Json]
    needs: tuple[str, ...] = ()
    read: Callable[[Path], Iterator[LocatedRow]] = rows.read_rows


def _swe_bench_rows(path: Path) -> Iterator[LocatedRow]:
    return swe_tree.read_swe_tree(path) if path.is_dir() and swe_tree.is_tree(path) else rows.read_rows(path)


FORMATS = {
    "swe-bench": DatasetFormat(swe_bench.to_task, swe_bench.from_task, swe_bench.NEEDS, _swe_bench_rows),
    "swe-smith": DatasetFormat(swe_smith.to_task, swe_smith.from_task, swe_smith.NEEDS),
    "swe-rebench": DatasetFormat(swe_rebench.to_task, swe_rebench.from_task, swe_rebench.NEEDS),
    "multi-swe": DatasetFormat(multi_swe.to_task, multi_swe.from_task, multi_swe.NEEDS),
    "harbor": DatasetFormat(
        harbor.to_task, harbor.from_task, ("task.toml", "instruction.md", "tests/test.sh"), harbor.read_harbor
    ),
    "livecodebench": DatasetFormat(programs.to_task, programs.from_task, programs.NEEDS),
    "functions": DatasetFormat(functions.to_task, functions.from_task, ("task_id",)),
    "ifeval": DatasetFormat(constraints.to_task, constraints.from_task, constraints.NEEDS),
}
"""The name that `--from` and `--to` take. `functions` is HumanEval and MBPP."""


def items(name: str, paths: Iterable[Path]) -> Iterator[Item]:
    """One work item a row: its task's line, or why it has none. Items are named by their tasks, as `--resume` needs."""
    for path in paths:
        for found in FORMATS[name].read(path):
            try:
                line = line_of(name, found.row, found.where, found.path)
            except RecordError as error:
                yield Item(f"row:{found.where}", error, raw=json.dumps(found.row).encode())
                continue
            id = msgspec.json.decode(line, type=_Named).instance_id
            yield Item(item_key(Task, id), line, shard=id)


class _Named(msgspec.Struct):
    instance_id: str


def read(item: Item) -> Iterator[bytes]:
    """The line of an item's task. A row that is not of the format is a dead letter that says why."""
    if isinstance(item.payload, RecordError):
        raise item.payload
    yield item.payload


def line_of(name: str, row: Json, where: str = "a row", path: Path | None = None) -> bytes:
    """The line of a row's task; `path`, where the row was read, may tell which benchmark it is of."""
    if name == "harbor" and KAT_TASK in row:
        return _own(row)
    kind = FORMATS[name]
    missing = [field for field in kind.needs if field not in row]
    if missing:
        raise RecordError("dataset", f"{where} is no row of {name}: it has no {', '.join(missing)}")
    try:
        task = kind.to_task(row)
        task.benchmark = benchmark.benchmark_of(name, task.benchmark, path)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise RecordError("dataset", f"{where}: {what}") from error
    return splice(encode(task), **{FIELD: remember(name, row, kind.from_task(task))})


def _own(row: Json) -> bytes:
    """A task that KAT wrote as a Harbor folder: the whole of it, with the instruction as it is now."""
    try:
        task = msgspec.json.decode(row[KAT_TASK]["text"], type=Task)
    except msgspec.DecodeError as error:
        raise RecordError("dataset", f"{KAT_TASK}: {error}") from error
    return encode(msgspec.structs.replace(task, problem_statement=row["instruction.md"]["text"]))


def row_of(name: str, line: Line) -> Json:
    """The row of a task's line; of one that came from this format, every field as it was."""
    assert isinstance(line.record, Task)
    given = FORMATS[name].from_task(line.record)
    origin = origin_of(line.raw)
    return restore(origin, given) if origin is not None and origin.format == name else given
