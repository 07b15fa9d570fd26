"""Tasks into a folder in another format.

In: lines of kat.task. Out: a folder: for `harbor` one folder a task, for `swe-bench` a task tree of 5.x and the same
rows in `tasks.jsonl`, for the others `tasks.jsonl`. A task that cannot be written in the format is counted and named,
and the others are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from katcore.dataset import harbor, harbor_export, rows, swe_tree
from katcore.dataset.formats import FORMATS, row_of
from katcore.errors import RecordError
from katcore.records import Json, Task
from katcore.streams import Line

ROWS = "tasks.jsonl"
Failed = Callable[[str, str], None]


def export(
    name: str, lines: Iterable[Line], folder: Path, failed: Failed, *, image: str = "", wheels: bool = False
) -> int:
    """How many tasks were written; `failed` gets the id of each other one, and why."""
    made = _rows(name, lines, failed, image, wheels)
    if name == "harbor":
        return harbor.write_harbor(made, folder)
    kept = list(made)
    plain = [{field: value for field, value in row.items() if not _file_of_tree(field, value)} for row in kept]
    rows.write_rows(plain, folder / ROWS)
    return swe_tree.write_swe_tree(kept, folder) if name == "swe-bench" else len(kept)


def _rows(name: str, lines: Iterable[Line], failed: Failed, image: str, wheels: bool) -> Iterator[Json]:
    assert name in FORMATS
    for line in lines:
        task = line.record
        assert isinstance(task, Task)
        try:
            if name == "harbor" and harbor_export.rows_needed(task):
                yield harbor_export.folder(task, image=image, wheels=wheels)
            elif name == "swe-bench" and task.environment.report.kind == "junit" and harbor_export.rows_needed(task):
                context = harbor_export.context(task, image=image, wheels=wheels)
                yield row_of(name, line) | context | {"Dockerfile": context["Dockerfile"]["text"]}
            else:
                yield row_of(name, line)
        except RecordError as error:
            failed(task.instance_id, error.reason)
        except (KeyError, ValueError) as error:
            failed(task.instance_id, f"cannot be written as {name}: {error}")


def _file_of_tree(field: str, value: object) -> bool:
    from katcore.dataset import files

    return field == "Dockerfile" or files.is_file(value)
