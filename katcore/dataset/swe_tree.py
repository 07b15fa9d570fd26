"""The task trees of SWE-bench 5: `sweb.yaml` and a folder `tasks/<instance_id>/` for each instance.

In: such a tree, or one folder of it. Out: rows of `swe_bench.py` with two more kinds of field: `Dockerfile`, and every
further file under its own path (`test_assets/…`). A field that lies in a file of its own is read from there; all others
are in `task.yaml`. Writing gives the same files again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from katcore.dataset import files
from katcore.disk.whole import write_whole
from katcore.records import Json
from katcore.streams.foreign import ForeignRow, plain

AS_FILE = {
    "patch": "gold.patch",
    "test_patch": "test.patch",
    "eval_script": "eval.sh",
    "problem_statement": "problem_statement.md",
    "hints_text": "hints.md",
    "Dockerfile": "Dockerfile",
}
OPTIONAL = frozenset({"hints_text"})
TESTS = ("FAIL_TO_PASS", "PASS_TO_PASS")
LISTS = (*TESTS, "FAIL_TO_FAIL", "PASS_TO_FAIL")
TREE = {"datasets": ["kat"], "splits": ["test"]}


def is_tree(path: Path) -> bool:
    """Whether the folder is a tree, or one of its tasks."""
    return (path / "tasks").is_dir() or (path / "task.yaml").is_file()


def read_swe_tree(path: Path) -> Iterator[ForeignRow]:
    """The tasks in the order of their names."""
    folders = [path] if (path / "task.yaml").is_file() else sorted((path / "tasks").iterdir())
    for folder in folders:
        if (folder / "task.yaml").is_file():
            try:
                yield ForeignRow(_read_task(folder), str(folder), folder)
            except Exception as error:  # noqa: BLE001 - whatever other people's YAML makes of the reader
                yield ForeignRow({}, str(folder), folder, fault=files.unusable(folder, error))


def _read_task(folder: Path) -> Json:
    row = plain(yaml.safe_load((folder / "task.yaml").read_text(encoding="utf-8")))
    tests = json.loads((folder / "tests.json").read_text(encoding="utf-8"))
    if not isinstance(row, dict) or not isinstance(tests, dict):
        raise ValueError("task.yaml and tests.json hold objects")
    row |= tests
    for name, file in files.read_folder(folder).items():
        if name in ("task.yaml", "tests.json"):
            continue
        column = next((column for column, path in AS_FILE.items() if path == name), None)
        row[column or name] = file["text"] if column and "text" in file else file
    return row


def folder_of(row: Json) -> dict[str, Json]:
    """The files of a row's folder in a tree, as `swebench` takes it."""
    meta = {name: value for name, value in row.items() if name not in AS_FILE and not files.is_file(value)}
    tests = {name: meta.pop(name) for name in list(meta) if name in LISTS}
    for name in TESTS:
        tests[name] = json.loads(tests[name]) if isinstance(tests.get(name), str) else tests.get(name, [])
    meta.setdefault("split", "test")
    meta.setdefault("datasets", ["kat"])
    found = {
        "task.yaml": _text(yaml.safe_dump(meta, allow_unicode=True)),
        "tests.json": _text(json.dumps(tests, indent=2, ensure_ascii=False) + "\n"),
    }
    for name, value in row.items():
        if name in AS_FILE and (value or name not in OPTIONAL):
            found[AS_FILE[name]] = value if files.is_file(value) else _text(value)
        elif files.is_file(value):
            found[name] = value
    return found


def begin_tree(folder: Path) -> Path:
    """A tree without tasks, if there is none; where its tasks' folders lie."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "sweb.yaml").exists():
        write_whole(folder / "sweb.yaml", yaml.safe_dump(TREE))
    return folder / "tasks"


def _text(text: str) -> Json:
    return {"text": text, "mode": "100644"}
