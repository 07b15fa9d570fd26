"""Test files as records: what a folder has, and what a dataset's test patch makes of a base.

In: a folder, or a task whose dataset gives its tests as a patch. Out: `TestFile`s by path. Datasets apply that patch in
their own scripts; as files the tests are restored before each grading, guarded against the attempt, and their
expectations can be made wrong.
"""

from __future__ import annotations

import base64
import os
import shutil
import tempfile
from pathlib import Path

import msgspec

from katcore.environment.patch import BadPatch, apply_here
from katcore.environment.workspace import workspace
from katcore.errors import RecordError
from katcore.records import Task, TestFile
from katcore.source.diff import paths
from katcore.source.quoting import readable


def read_test_file(path: Path) -> TestFile:
    """The file with its text and mode; a TestFile that says absent where there is none."""
    if path.is_symlink():
        data, mode = os.fsencode(path.readlink()), "120000"
    elif path.is_file():
        data, mode = path.read_bytes(), "100755" if path.stat().st_mode & 0o111 else "100644"
    else:
        return TestFile()
    try:
        return TestFile(text=data.decode(), mode=mode)
    except UnicodeDecodeError:
        return TestFile(base64=base64.b64encode(data).decode(), mode=mode)


def with_test_files(task: Task) -> Task:
    """The task with the files of its test patch, where it names none. RecordError when the patch does not apply."""
    if task.test_files or not task.test_patch.strip():
        return task
    base, names = workspace(task.source), paths(task.test_patch)
    with tempfile.TemporaryDirectory(prefix="kat-tests-") as top:
        folder = Path(top) / "repo"
        folder.mkdir()
        for name in names:
            _copy(base, name, folder)
        try:
            apply_here(folder, task.test_patch)
        except BadPatch as error:
            raise RecordError("test_patch", f"it does not apply to the base: {error}") from error
        found = {readable(os.fsencode(name)): read_test_file(folder / name) for name in names}
    return msgspec.structs.replace(task, test_files=found)


def _copy(base: Path, name: str, folder: Path) -> None:
    """One file, if the base has it below real folders: a link would lead out of the repository."""
    path, relative = base / name, Path(name)
    outside = relative.is_absolute() or ".." in relative.parts
    if outside or any((base / parent).is_symlink() for parent in relative.parents):
        return
    if path.is_symlink() or path.is_file():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / name, follow_symlinks=False)
