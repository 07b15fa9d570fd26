"""A record file that appears whole, and a run of it that can be killed at any moment and resumed.

While it grows there are `FILE.part` (JSON lines; zstd frames of them for `.zst` and `.parquet`) and `FILE.journal`,
whose lines say which items lie in how many bytes of the part. A block is synced before its journal line is written, so
a resumed run cuts the part back to the last line of the journal and nothing is lost or doubled. `finish` makes the
final form (the same records always give the same bytes) and renames it into place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from katcore.disk.whole import put, synced, writing
from katcore.errors import InputError, KatError, UsageError
from katcore.records import Task, json_object, key_of, tag_of
from katcore.streams import zst
from katcore.streams.grow import (
    Entry,
    Growing,
    Journal,
    SideFile,
    load_journal,
    with_suffix,
)
from katcore.streams.lines import Line, decode, split_lines, tasks_beside
from katcore.streams.pace import Pace
from katcore.streams.reader import CHUNK, read_records

TASK = tag_of(Task)
COPY = 256  # records copied at a time


class FileOutput:
    """The output of a command with `-o FILE`, its rejects and its dead letters."""

    def __init__(
        self, path: Path, fmt: str, resume: bool, rejects: Path | None = None, dead_letters: Path | None = None
    ) -> None:
        self.path = path
        self.finished: set[str] = set()
        self._fmt = fmt
        self._rejects_path = rejects
        self._names = with_suffix(path, ".part"), with_suffix(path, ".journal")
        self._part: Growing | None = None  # None: FILE is complete and nothing new has come yet
        self._journal: Journal | None = None
        self._rejects: SideFile | None = None
        self._lines: list[bytes] = []  # of the item that is being written
        self._items: list[tuple[str, list[bytes], int]] = []  # done, not flushed: key, lines, bytes of rejects by then
        self._size = 0
        self._records = 0
        self._kind = ""
        self._pace = Pace()
        self._reject_bytes = 0
        self._journalled = False
        self._flushing = False
        self._dead = SideFile(dead_letters) if dead_letters else None
        entries, size = load_journal(self._names[1], self._names[0]) if resume else ([], 0)
        if entries:
            self._continue(entries, size)
        elif resume and path.exists():
            self._extend()
        else:
            self._open(Entry([], 0, 0), 0)

    # ---------------------------------------------------------------- starting

    def _open(self, entry: Entry, journal_size: int) -> None:
        part, journal = self._names
        if not journal_size:
            journal.unlink(missing_ok=True)  # ahead of the part: a journal must never speak of another part
        self._part = Growing(part, entry.offset)
        self._journal = Journal(journal, journal_size)
        self._records = entry.records
        self._journalled = journal_size > 0
        self._reject_bytes = entry.rejects
        if self._rejects_path:
            self._rejects = SideFile(self._rejects_path, entry.rejects)

    def _continue(self, entries: list[Entry], journal_size: int) -> None:
        with self._names[0].open("rb") as part:
            head = part.read(4)
        if head and (head == zst.mark()[:4]) != (self._fmt != "jsonl"):
            raise UsageError(f"{self._names[0]}: begun in another format", hint="resume with the same --format")
        for entry in entries:
            self.finished.update(entry.keys)
        self._open(entries[-1], journal_size)

    def _extend(self) -> None:
        """FILE is complete: what it holds is done. It stays as it is unless something new comes."""
        stale = [with_suffix(self._rejects_path, ".part")] if self._rejects_path else []
        for name in (*self._names, *stale):
            name.unlink(missing_ok=True)
        for line in read_records([self.path]):
            self.finished.add(key_of(line.record))
        if self._rejects_path and self._rejects_path.is_file():
            self.finished.update(_keys_of_rejects(self._rejects_path))

    def _begin(self) -> None:
        """Something new comes: go on from a copy of what is complete."""
        if self._part:
            return
        self._flushing = True
        old = self._rejects_path.stat().st_size if self._rejects_path and self._rejects_path.is_file() else 0
        self._open(Entry([], 0, 0, old), 0)
        lines = (line.raw for line in read_records([self.path]))
        while block := list(islice(lines, COPY)):
            self._append(block)
        empty = [key for key, _, _ in self._items]  # done before: nothing came of these
        self._items = [(key, [], old) for key in (*self.finished, *empty)]
        self._flush()

    # ---------------------------------------------------------------- running

    def write(self, line: bytes, kind: str) -> None:
        """Add a record: JSON without a newline, and its tag."""
        self._begin()
        if self._fmt == "parquet" and kind != TASK:
            self._kind = self._kind or kind
            if kind != self._kind:
                raise KatError(f"{self.path}: a Parquet file holds records of one type: {kind} after {self._kind}")
        self._lines.append(line)
        self._size += len(line) + 1

    def commit(self, key: str) -> None:
        """All that this item gives has been written."""
        rejects = self._rejects.size if self._rejects else self._reject_bytes
        self._items.append((key, self._lines, rejects))  # one step, since a signal may end the stage between any two
        self._lines = []
        if self._part and self._pace.due(self._size):
            self._flush()

    def idle(self) -> None:
        """Nothing comes for a while: what is done is brought to the disk."""
        if self._part and self._items:
            self._flush()

    def reject(self, row: dict[str, Any]) -> None:
        """Keep a line about a record that was turned away, where somebody asked for it."""
        if self._rejects_path:
            self._begin()
            assert self._rejects is not None
            self._rejects.write(row)

    def dead_letter(self, row: dict[str, Any]) -> None:
        """Keep a line about a record that could not be processed, where somebody asked for it."""
        if self._dead:
            self._dead.write(row)

    def _append(self, lines: list[bytes]) -> None:
        assert self._part is not None
        if not lines:
            return
        data = b"".join(line + b"\n" for line in lines)
        if self._fmt != "jsonl":
            data = (b"" if self._part.size else zst.mark()) + zst.frame(data)
        self._part.append(data)
        self._records += len(lines)

    def _flush(self) -> None:
        """Bring what is done to the disk, then say so in the journal."""
        assert self._part is not None and self._journal is not None
        self._flushing = True
        self._append([line for _, lines, _ in self._items for line in lines])
        self._part.sync()
        if self._rejects:
            self._rejects.sync()
        if self._items:
            keys, rejects = [key for key, _, _ in self._items], self._items[-1][2]
            self._journal.add(Entry(keys, self._part.size, self._records, rejects))
            self._journalled = True
        self._items, self._size = [], 0
        self._pace.flushed()
        self._flushing = False

    # ---------------------------------------------------------------- ending

    def finish(self) -> None:
        """Put everything in its place; the journal goes last, so that a crash in between can be resumed."""
        if not self._part:
            self._finish_sides()
            return
        self._flush()
        self._append(self._lines)
        self._part.sync()
        self._close()
        part, journal = self._names
        made = self._make(part)
        self._finish_sides()
        for new, place in made:
            put(new, place)
        for name in (part, journal):
            name.unlink(missing_ok=True)

    def _finish_sides(self) -> None:
        if self._rejects_path and not self._rejects and not self._rejects_path.exists():
            self._rejects = SideFile(self._rejects_path)
        for side in (self._rejects, self._dead):
            if side:
                side.finish()

    def _make(self, part: Path) -> list[tuple[Path, Path]]:
        """The final form, synced, under other names; which is to be renamed to which."""
        if self._fmt == "jsonl":
            return [(part, self.path)]
        new = with_suffix(self.path, ".tmp")
        if self._fmt == "zst":
            _write(new, zst.compress(_lines(part)))
            return [(new, self.path)]
        from katcore.streams import parquet

        beside = tasks_beside(self.path)
        new_tasks = with_suffix(beside, ".tmp")
        with writing(self.path):
            with_tasks = parquet.write_parquet(_records(part), new, new_tasks)
        if not with_tasks:
            beside.unlink(missing_ok=True)
            return [(new, self.path)]
        return [(new_tasks, beside), (new, self.path)]

    def abandon(self) -> None:
        """Stop: the items that are done stay for --resume, one that is half done does not."""
        if self._part and self._items and not self._flushing:
            with suppress(KatError):  # a full disk: what is in the journal stays
                self._flush()
        self._close()
        half_made = [with_suffix(name, ".tmp") for name in (self.path, tasks_beside(self.path))]
        for name in half_made if self._journalled or not self._part else (*half_made, *self._names):
            name.unlink(missing_ok=True)
        if self._rejects:
            self._rejects.leave() if self._journalled else self._rejects.discard()
        if self._dead:
            self._dead.finish()

    def _close(self) -> None:
        if self._part and self._journal:
            self._part.close()
            self._journal.close()


def _write(path: Path, pieces: Iterable[bytes]) -> None:
    with writing(path), synced(path) as file:
        file.writelines(pieces)


def _lines(part: Path) -> Iterator[bytes]:
    """The lines of a part that holds zstd frames."""
    with part.open("rb") as file:
        chunks = iter(partial(file.read, CHUNK), b"")
        yield from split_lines(zst.decompress(chunks, str(part), growing=True), str(part))


def _records(part: Path) -> Iterator[Line]:
    for number, raw in enumerate(_lines(part), 1):
        yield Line(decode(raw), raw, number, str(part))


def _keys_of_rejects(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json_object(line)
            except msgspec.DecodeError as error:
                raise InputError(f"{path}: line {number}: {error}") from error
            if "kind" in row and "id" in row:
                yield f"{row['kind']}:{row['id']}"
