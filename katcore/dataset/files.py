"""Folders of files as JSON: path -> {text | base64, mode}, as `TestFile` has them, and back onto disk.

In: a folder that may hold anything. Out: its regular files and links, sorted. Writing refuses paths that leave the
folder, so that a dataset cannot write elsewhere. What is wrong with one folder is a RecordError: others are fine.
"""

from __future__ import annotations

import base64
import errno
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from katcore.disk.whole import PART
from katcore.errors import RecordError
from katcore.records import Json, TestFile, content_id

LARGEST = 64 << 20
"""Bytes of one file: a larger one belongs into an image."""
LONGEST = 200
"""Letters of a folder's name: file systems take 255 bytes, and we add to them."""


def read_folder(folder: Path) -> dict[str, Json]:
    """Every file below the folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_symlink():
            found[path.relative_to(folder).as_posix()] = {"text": str(path.readlink()), "mode": "120000"}
        elif path.is_file():
            found[path.relative_to(folder).as_posix()] = _read_file(path)
    return found


def _read_file(path: Path) -> Json:
    size = path.stat().st_size
    if size > LARGEST:
        raise RecordError("dataset", f"{path}: {size} bytes are more than a task's record holds ({LARGEST})")
    return entry(path.read_bytes(), bool(path.stat().st_mode & 0o100))


def unusable(folder: Path, error: Exception) -> RecordError:
    """Why a task's folder cannot be read; the others beside it may."""
    why = error.reason if isinstance(error, RecordError) else f"{folder}: {error}"
    return RecordError("dataset", why.partition("\n")[0])


def entry(data: bytes, executable: bool = False) -> Json:
    """A file's content: text where it is UTF-8."""
    mode = "100755" if executable else "100644"
    try:
        return {"text": data.decode("utf-8"), "mode": mode}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode(), "mode": mode}


def content(file: Mapping[str, Any]) -> bytes:
    """The bytes of a file."""
    return base64.b64decode(file["base64"]) if file.get("base64") is not None else str(file["text"]).encode("utf-8")


def is_file(value: Any) -> bool:
    """Whether a field's value is a file as above."""
    return isinstance(value, dict) and "mode" in value and bool({"text", "base64"} & value.keys()) and len(value) == 2


def as_test_file(file: Json) -> TestFile:
    """The same as a record's struct."""
    return TestFile(text=file.get("text"), base64=file.get("base64"), mode=file["mode"])


def from_test_file(file: TestFile) -> Json:
    """And back."""
    kept: Json = {"text": file.text} if file.text is not None else {"base64": file.base64}
    return kept | {"mode": file.mode}


def write_folder(folder: Path, found: Mapping[str, Json]) -> None:
    """Write files below the folder. RecordError for a path that leaves it."""
    top = folder.resolve()
    for name, file in found.items():
        parts = PurePosixPath(name).parts
        path = top.joinpath(*parts)
        if name.startswith("/") or not parts or ".." in parts or not path.parent.resolve().is_relative_to(top):
            raise RecordError("export", f"{name!r} lies outside the task's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if file["mode"] == "120000":
            path.symlink_to(file["text"])
            continue
        path.write_bytes(content(file))
        path.chmod(0o755 if file["mode"] == "100755" else 0o644)


class Folders:
    """A folder for each task below `top`, no two alike on any file system; each is whole or not there."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._ids: set[str] = set()
        self._taken: set[str] = set()

    def write(self, task: str, wanted: str, found: Mapping[str, Json]) -> None:
        """The files of the task of this id, in a folder called `wanted` or nearly so.

        RecordError when the task has one already, or when these files cannot be one folder.
        """
        if task in self._ids:
            raise RecordError("export", "another task of this id is there already")
        name = safe_name(wanted)
        if name.casefold() in self._taken:  # of another task: names of folders may hold less, and not tell A from a
            name = f"{name}-{_digest(task)}"
        part = self._top / f"{name}{PART}{os.urandom(4).hex()}"
        part.mkdir(parents=True)
        try:
            write_folder(part, found)
            shutil.rmtree(self._top / name, ignore_errors=True)
            part.rename(self._top / name)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _OF_THE_DISK:
                raise
            raise RecordError("export", f"its files cannot be one folder: {error}") from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        self._ids.add(task)
        self._taken.add(name.casefold())


_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM})
"""What says nothing about a task."""


def safe_name(name: str) -> str:
    """A task's id as the name of a folder; with a digest behind it where it cannot be the id itself."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:LONGEST]
    return name if name and kept == name else f"{kept or 'task'}-{_digest(name)}"


def _digest(name: str) -> str:
    return content_id(name)[:8]
