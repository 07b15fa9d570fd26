"""Other people's datasets as tasks, and tasks as other people's datasets.

In: files and folders on disk in one of `FORMATS`; nothing is fetched. Out: lines of kat.task whose extra field
`dataset` (`origin.py`) holds what the format has and a task has not, so that `row_of` gives each row back field for
field. A format is a module with `to_task` and `from_task`, pure functions on one row; `FORMATS` says where they are and
how their files are read and written. How a task is judged stays a matter of its verification: this part runs nothing.
"""

from __future__ import annotations

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
    swe_bench,
    swe_rebench,
    swe_smith,
    swe_tree,
)
from katcore.dataset.origin import FIELD, origin_of, remember, restore
from katcore.errors import KatError, RecordError
from katcore.pool import Item
from katcore.records import Json, Task, encode, item_key
from katcore.streams import Line, splice
from katcore.streams.foreign import ForeignRow, read_rows

KAT_TASK = "tests/task.json"
"""Where a Harbor folder of ours holds the whole task."""


@dataclass(frozen=True)
class DatasetFormat:
    """One format: a row becomes a task and a task a row; `needs` are fields that a row must have."""

    to_task: Callable[[Json], Task]
    from_task: Callable[[Task], Json]
    needs: tuple[str, ...] = ()
    read: Callable[[Path], Iterator[ForeignRow]] = read_rows


def _swe_bench_rows(path: Path) -> Iterator[ForeignRow]:
    return swe_tree.read_swe_tree(path) if path.is_dir() and swe_tree.is_tree(path) else read_rows(path)


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
                if found.fault is not None:
                    raise found.fault
                line = line_of(name, found.row, found.where, found.path)
            except RecordError as error:
                yield Item(f"row:{found.where}", error, raw=found.kept, line=found.line, source=found.source)
                continue
            id = msgspec.json.decode(line, type=_Named).instance_id
            yield Item(item_key(Task, id), line, shard=id, raw=found.raw, line=found.line, source=found.source)


class _Named(msgspec.Struct):
    instance_id: str


def read(item: Item) -> Iterator[bytes]:
    """The line of an item's task. A row that is not of the format is a dead letter that says why."""
    if isinstance(item.payload, RecordError):
        raise item.payload
    yield item.payload


def line_of(name: str, row: Json, where: str = "a row", path: Path | None = None) -> bytes:
    """The line of a row's task; `path`, where the row was read, may tell which benchmark it is of.

    RecordError, with `where`, for a row that is not of the format. Rows are other people's: whatever a format stumbles
    over is wrong with this row alone.
    """
    missing = [field for field in FORMATS[name].needs if field not in row]
    if missing:
        raise RecordError("dataset", f"{where} is no row of {name}: it has no {', '.join(missing)}")
    try:
        return _own(row) if name == "harbor" and KAT_TASK in row else _line(name, row, path)
    except RecordError as error:
        raise RecordError(error.stage, f"{where}: {error.reason}") from error
    except Exception as error:
        raise RecordError("dataset", f"{where}: {_why(error)}") from error


def _why(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"{error} is missing"
    plain = isinstance(error, KatError | TypeError | ValueError)
    return str(error) if plain else f"{type(error).__name__}: {error}"


def _line(name: str, row: Json, path: Path | None) -> bytes:
    kind = FORMATS[name]
    task = kind.to_task(row)
    task.benchmark = benchmark.benchmark_of(name, task.benchmark, path)
    return splice(encode(task), **{FIELD: remember(name, row, kind.from_task(task))})


def _own(row: Json) -> bytes:
    """A task that KAT wrote as a Harbor folder: the whole of it, with the instruction as it is now."""
    task = msgspec.json.decode(row[KAT_TASK]["text"], type=Task)
    return encode(msgspec.structs.replace(task, problem_statement=row["instruction.md"]["text"]))


def row_of(name: str, line: Line) -> Json:
    """The row of a task's line; of one that came from this format, every field as it was."""
    assert isinstance(line.record, Task)
    given = FORMATS[name].from_task(line.record)
    origin = origin_of(line.raw)
    return restore(origin, given) if origin is not None and origin.format == name else given
