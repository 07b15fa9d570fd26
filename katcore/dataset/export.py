"""Tasks into a folder in another format.

In: lines of kat.task. Out: a folder: for `harbor` one folder a task, for `swe-bench` a task tree of 5.x and the same
rows in `tasks.jsonl`, for the others `tasks.jsonl`. A task that cannot be written in the format is counted and named,
and the others are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from katcore.dataset import files, harbor, harbor_export, rows, swe_tree
from katcore.dataset.formats import FORMATS, row_of
from katcore.errors import InputError, KatError, RecordError
from katcore.records import Json, Task
from katcore.streams import Line

ROWS = "tasks.jsonl"
Failed = Callable[[str, str], None]


def export(
    name: str, lines: Iterable[Line], folder: Path, failed: Failed, *, image: str = "", wheels: bool = False
) -> int:
    """How many tasks were written; `failed` gets the id of each other one, and why."""
    assert name in FORMATS
    folders = _folders(name, folder)
    kept: list[Json] = []
    count = 0
    for line in lines:
        assert isinstance(line.record, Task)
        id = line.record.instance_id
        try:
            row = _row(name, line, image, wheels)
            if folders is not None:
                folders.write(id, str(row[NAMED[name]]), _files(name, row))
        except (RecordError, InputError) as error:
            failed(id, error.reason if isinstance(error, RecordError) else str(error))
        except KatError:
            raise
        except Exception as error:  # noqa: BLE001 - what others have put beside a task may be anything
            failed(id, f"cannot be written as {name}: {error}")
        else:
            count += 1
            if name != "harbor":
                kept.append({field: value for field, value in row.items() if not _file_of_tree(field, value)})
    if name != "harbor":
        rows.write_rows(kept, folder / ROWS)
    return count


NAMED = {"harbor": harbor.NAME, "swe-bench": "instance_id"}
"""The formats that are folders of folders, and the field of a row that names its folder."""


def _folders(name: str, folder: Path) -> files.Folders | None:
    if name not in NAMED:
        return None
    return files.Folders(folder if name == "harbor" else swe_tree.begin_tree(folder))


def _files(name: str, row: Json) -> dict[str, Json]:
    if name == "harbor":
        return {path: file for path, file in row.items() if path != harbor.NAME}
    return swe_tree.folder_of(row)


def _row(name: str, line: Line, image: str, wheels: bool) -> Json:
    task = line.record
    assert isinstance(task, Task)
    if name == "harbor" and harbor_export.rows_needed(task):
        return harbor_export.folder(task, image=image, wheels=wheels)
    if name == "swe-bench" and task.environment.report.kind == "junit" and harbor_export.rows_needed(task):
        context = harbor_export.context(task, image=image, wheels=wheels)
        return row_of(name, line) | context | {"Dockerfile": context["Dockerfile"]["text"]}
    return row_of(name, line)


def _file_of_tree(field: str, value: object) -> bool:
    return field == "Dockerfile" or files.is_file(value)
