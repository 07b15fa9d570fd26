"""Where records go: pipes, and files that are whole or not there at all.

`open_output` is the only way in; the command contract is its only caller. An item's lines are written, then `commit`
says that the item is done. Nothing here knows what a record means.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Protocol

from katcore.disk.whole import writing
from katcore.errors import KatError, UsageError
from katcore.streams.grow import SideFile, write_all
from katcore.streams.pace import Pace


class Output(Protocol):
    """A stream of records being written, with the records that were turned away or failed beside it."""

    finished: set[str]
    """Keys of items that an earlier run has finished."""

    def write(self, line: bytes, kind: str) -> None:
        """Add a record: JSON without a newline, and its tag."""

    def commit(self, key: str) -> None:
        """All that this item gives has been written."""

    def reject(self, row: dict[str, Any]) -> None:
        """Keep a line about a record that was turned away, where somebody asked for it."""

    def dead_letter(self, row: dict[str, Any]) -> None:
        """Keep a line about a record that could not be processed, where somebody asked for it."""

    def idle(self) -> None:
        """Nothing comes for a while: let go of what was held back to be written with more."""

    def finish(self) -> None:
        """Put everything in its place."""

    def abandon(self) -> None:
        """Stop: leave what a later --resume can use, remove the rest."""


def open_output(
    path: Path | None,
    fmt: str | None,
    resume: bool,
    *,
    rejects: Path | None = None,
    dead_letters: Path | None = None,
) -> Output:
    """Standard output where `path` is None. The format is `fmt` or, without one, what the file's suffix says."""
    names = [name.resolve() for name in (path, rejects, dead_letters) if name is not None and _regular(name)]
    if len(set(names)) < len(names):
        raise UsageError(f"{names[0]}: two outputs have the same name")
    for name in names:
        if name.is_dir():
            raise UsageError(f"{name}: is a folder")
    fmt = fmt or (_format_of(path) if path else "jsonl")
    if path is not None and _regular(path):
        from katcore.streams.file import FileOutput

        return FileOutput(path.resolve(), fmt, resume, rejects, dead_letters)
    if resume:
        raise UsageError("--resume needs an output file", hint="add -o FILE")
    if fmt == "parquet":
        return _Spooled(_Pipe(path, "jsonl", None, None), rejects, dead_letters)
    return _Pipe(path, fmt, rejects, dead_letters)


def _regular(path: Path) -> bool:
    return not path.exists() or path.is_file() or path.is_dir()


def _format_of(path: Path) -> str:
    return {".zst": "zst", ".parquet": "parquet"}.get(path.suffix, "jsonl")


class _Pipe:
    """Standard output, a FIFO or a device: JSON lines go out at once, zstd in frames."""

    def __init__(self, path: Path | None, fmt: str, rejects: Path | None, dead_letters: Path | None) -> None:
        self.finished: set[str] = set()
        self.name = str(path or "standard output")
        with writing(self.name):
            self.fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC) if path else _stdout()
        if fmt != "jsonl" and os.isatty(self.fd):
            raise UsageError(f"{fmt} on a terminal", hint="add -o FILE or a pipe")
        self._zst = _Frames() if fmt == "zst" else None
        self._rejects = SideFile(rejects) if rejects else None
        self._dead = SideFile(dead_letters) if dead_letters else None

    def send(self, data: bytes) -> None:
        """Write bytes as they are."""
        with writing(self.name):
            write_all(self.fd, data)

    def write(self, line: bytes, kind: str) -> None:
        if self._zst:
            self._zst.add(line)
        else:
            self.send(line + b"\n")

    def commit(self, key: str) -> None:
        if self._zst and (data := self._zst.due()):
            self.send(data)

    def reject(self, row: dict[str, Any]) -> None:
        if self._rejects:
            self._rejects.write(row)

    def dead_letter(self, row: dict[str, Any]) -> None:
        if self._dead:
            self._dead.write(row)

    def idle(self) -> None:
        if self._zst and (data := self._zst.held()):
            self.send(data)

    def finish(self) -> None:
        if self._zst:
            self.send(self._zst.end())
        self._sides()

    def abandon(self) -> None:
        self._sides()  # nothing can be resumed here: what is known about the records so far is worth keeping

    def _sides(self) -> None:
        for side in (self._rejects, self._dead):
            if side:
                side.finish()


class _Frames:
    """zstd for a pipe: a frame goes out when it is due."""

    def __init__(self) -> None:
        from katcore.streams import zst

        self._zst = zst
        self._tally = zst.Tally()
        self._block: list[bytes] = []
        self._size = 0
        self._pace = Pace()
        self._begun = False

    def add(self, line: bytes) -> None:
        self._block.append(line)
        self._size += len(line) + 1

    def due(self) -> bytes:
        """A frame, or nothing as long as it can wait."""
        return self._flush() if self._block and self._pace.due(self._size) else b""

    def held(self) -> bytes:
        """A frame of what has waited so far, or nothing."""
        return self._flush() if self._block else b""

    def end(self) -> bytes:
        """The last frame and the trailer."""
        return self._flush() + self._zst.trailer(self._tally)

    def _flush(self) -> bytes:
        start = b"" if self._begun else self._zst.mark()
        data = self._zst.data_frame(self._block, self._tally) if self._block else b""
        self._begun, self._block, self._size = True, [], 0
        self._pace.flushed()
        return start + data


class _Spooled:
    """Parquet for a pipe: its index comes last and knows everything, so it is made in a temporary file."""

    def __init__(self, pipe: _Pipe, rejects: Path | None, dead_letters: Path | None) -> None:
        from katcore.streams.file import FileOutput

        if os.isatty(pipe.fd):
            raise UsageError("parquet on a terminal", hint="add -o FILE or a pipe")
        self._pipe = pipe
        self._folder = tempfile.TemporaryDirectory(prefix="kat-")
        self._path = Path(self._folder.name) / "records.parquet"
        self._file = FileOutput(self._path, "parquet", False, rejects, dead_letters)
        self.finished = self._file.finished
        self.write, self.commit, self.idle = self._file.write, self._file.commit, self._file.idle
        self.reject, self.dead_letter = self._file.reject, self._file.dead_letter

    def finish(self) -> None:
        from katcore.streams.lines import tasks_beside

        try:
            self._file.finish()
            if tasks_beside(self._path).exists():
                raise KatError(
                    "a Parquet file holds records of one type, and these come with tasks", hint="add -o FILE"
                )
            with self._path.open("rb") as made:
                while data := made.read(1 << 20):
                    self._pipe.send(data)
        finally:
            self._folder.cleanup()

    def abandon(self) -> None:
        self._file.abandon()
        self._folder.cleanup()


def _stdout() -> int:
    if sys.__stdout__ is None:
        raise UsageError("standard output is closed", hint="add -o FILE")
    sys.__stdout__.flush()
    return sys.__stdout__.fileno()
