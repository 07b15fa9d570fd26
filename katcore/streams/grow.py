"""Files that only grow, byte by byte known: the ground that crash-safe outputs stand on.

`Growing` appends and knows the length that is whole. `SideFile` is a JSON-lines file beside an output (rejects, dead
letters), written as `FILE.part` and renamed at the end. `Entry` is a line of an output's journal.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

import msgspec

from katcore.disk.whole import put, writing


def write_all(fd: int, data: bytes) -> None:
    """Write everything: a pipe or a full disk may take a part of it first."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def with_suffix(path: Path, suffix: str) -> Path:
    """`FILE` and something after its whole name: `FILE.part`."""
    return path.with_name(path.name + suffix)


class Growing:
    """An append-only file of `size` whole bytes, what lay behind them cut off. A device is written to as it is."""

    def __init__(self, path: Path, size: int = 0) -> None:
        self.path = path
        self.size = size
        with writing(path):
            self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            if stat.S_ISREG(os.fstat(self._fd).st_mode):
                os.ftruncate(self._fd, size)

    def append(self, data: bytes) -> None:
        """Add bytes; they survive the end of this process, not yet a power cut."""
        with writing(self.path):
            write_all(self._fd, data)
        self.size += len(data)

    def sync(self) -> None:
        """Bring everything to the disk."""
        with writing(self.path):
            if stat.S_ISREG(os.fstat(self._fd).st_mode):
                os.fsync(self._fd)

    def close(self) -> None:
        """Close it; twice is fine."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class SideFile:
    """JSON objects beside an output, a line each: `FILE.part` until `finish` renames it. A device has no part."""

    def __init__(self, path: Path, keep: int = 0) -> None:
        """Start empty, or with the first `keep` bytes of the part (of the file, where it was renamed already)."""
        self.path = path.resolve()
        device = self.path.exists() and not self.path.is_file()
        self._part = self.path if device else with_suffix(self.path, ".part")
        if keep and not self._part.exists() and self.path.exists():
            with writing(self._part):
                shutil.copyfile(self.path, self._part)
        there = self._part.stat().st_size if keep and self._part.exists() else 0
        self._file = Growing(self._part, min(keep, there))

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.size

    def write(self, row: dict[str, Any]) -> None:
        """Add an object."""
        self._file.append(msgspec.json.encode(row) + b"\n")

    def sync(self) -> None:
        """Bring everything to the disk."""
        self._file.sync()

    def finish(self) -> None:
        """Put the file in its place."""
        self._file.sync()
        self._file.close()
        if self._part != self.path:
            put(self._part, self.path)

    def leave(self) -> None:
        """Let the part lie for --resume."""
        self._file.close()

    def discard(self) -> None:
        """Remove the part."""
        self._file.close()
        if self._part != self.path:
            self._part.unlink(missing_ok=True)


class Entry(msgspec.Struct):
    """A journal line: these keys are done, and everything that they gave lies in so many bytes of the part files."""

    keys: list[str]
    offset: int
    records: int
    rejects: int = 0


class Journal:
    """`FILE.journal`: what of `FILE.part` is whole, and which items it holds."""

    def __init__(self, path: Path, size: int = 0) -> None:
        self._file = Growing(path, size)

    def add(self, entry: Entry) -> None:
        """Write an entry; what it speaks of is on the disk already."""
        self._file.append(msgspec.json.encode(entry) + b"\n")

    def close(self) -> None:
        """Close it; twice is fine."""
        self._file.close()


def load_journal(path: Path, part: Path) -> tuple[list[Entry], int]:
    """The whole entries of a journal whose bytes are all in the part, and how many bytes of the journal they take."""
    if not (path.exists() and part.exists()):
        return [], 0
    there = part.stat().st_size
    entries, size = list[Entry](), 0
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            entry = msgspec.json.decode(line, type=Entry)
        except msgspec.DecodeError:
            break  # the last line, cut by a crash
        if not line.endswith(b"\n") or entry.offset > there:
            break
        entries.append(entry)
        size += len(line)
    return entries, size
