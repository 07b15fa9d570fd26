"""Files that are whole or not there: written beside their place, brought to the disk, renamed.

In: a path and what it shall hold, or a block that writes. Out: a file that readers, crashes and losses of power find as
it was or as it shall be. A device or a pipe is written to as it is, a link stays and what it names is written. What a
writer that was killed left half written the next writer of the same file removes: nobody holds a lock on it. What it
does not do: keep apart two that write the same file (`lock.py`); the later one wins.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from katcore.disk.lock import seize, stands
from katcore.errors import KatError, ReaderLeft

PART = ".part-"
"""After a file's name, with a number more: what is being written, or what a writer that was killed left."""
SWEPT = 8
"""The numbers that are looked at for leavings: as many as write one file at a time and are killed together."""


@contextmanager
def writing(name: str | Path) -> Iterator[None]:
    """Turn what the system says about a failed write into one line that names the file."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderLeft from error
    except OSError as error:
        raise KatError(f"cannot write {name}: {error.strerror}") from error


def write_whole(path: Path, data: bytes | str, mode: int = 0o666) -> None:
    """Replace a file by these bytes (text: UTF-8). `mode` holds from its making on, less the umask. KatError."""
    with whole(path, mode) as file:
        file.write(data.encode() if isinstance(data, str) else data)


@contextmanager
def whole(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write into that replaces the one at `path` when the block ends, and is gone when it raises."""
    place = path.resolve()
    if place.exists() and not place.is_file():
        with writing(path), place.open("wb") as device:
            yield device
        return
    with writing(path):
        part, held = _begun(place, mode)
    try:
        with writing(path), _synced(os.dup(held)) as file:
            yield file
        put(part, place)
    except BaseException:
        if stands(held, part):  # once it has its place the name may be another writer's
            part.unlink()
        raise
    finally:
        os.close(held)


def _begun(place: Path, mode: int) -> tuple[Path, int]:
    """(a new file beside `place`, its descriptor, with a lock on it), after what dead writers left is removed."""
    for number in range(SWEPT):
        with suppress(OSError):  # most often there is none
            _sweep(_part(place, number))
    number = 0
    while True:
        part = _part(place, number)
        try:
            held = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except FileExistsError:
            number += 1
            continue
        with suppress(OSError):  # a file system without locks: nothing is swept there either
            fcntl.flock(held, fcntl.LOCK_EX)
        if stands(held, part):
            return part, held
        os.close(held)  # swept in the moment before it was locked


def _part(place: Path, number: int) -> Path:
    return place.with_name(f"{place.name}{PART}{number}")


def _sweep(part: Path) -> None:
    """Remove a part that nobody is writing."""
    if (left := seize(part)) is None:
        return
    try:
        if stands(left, part):  # else its writer has just put it in its place, and the name is the next one's
            part.unlink()
    finally:
        os.close(left)


@contextmanager
def synced(path: Path, mode: int = 0o666) -> Iterator[BinaryIO]:
    """A new file at this very name, all of it on the disk when the block ends."""
    with _synced(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)) as file:
        yield file


@contextmanager
def _synced(descriptor: int) -> Iterator[BinaryIO]:
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def put(new: Path, path: Path) -> None:
    """Rename what is whole and synced (a file, a folder, a link) to its place, and bring the renaming to the disk."""
    with writing(path):
        new.replace(path)
        sync(path.parent)


def sync(path: Path) -> None:
    """Bring a file to the disk, or which names a folder holds."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Bring a folder to the disk with everything in it."""
    for path in folder.iterdir():
        if not path.is_symlink():
            sync_tree(path) if path.is_dir() else sync(path)
    sync(folder)
