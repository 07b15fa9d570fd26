"""Read records from files and pipes: each line decoded, validated, and kept as the bytes that it was.

In: paths of JSON lines, zstd or Parquet, told apart by content; stdin where there is no path or `-`. Out: `Line`s in
order. Nothing is ever cut short in silence: whatever is wrong is an `InputError` that names the file and the line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from msgspec import Struct

from katcore.errors import InputError
from katcore.records import RECORDS, Record, tag_of

CHUNK = 1 << 18
TAGS = {kind: tag_of(kind) for kind in RECORDS}
STDIN = "<stdin>"

_decode: Callable[[bytes], Record] = msgspec.json.Decoder(Record).decode


class Line(Struct, frozen=True, gc=False):
    """One record with the line it came from; `raw` has no newline, `number` counts from 1."""

    record: Record
    raw: bytes
    number: int
    source: str

    @property
    def kind(self) -> str:
        """The record's tag, such as `kat.task/1`."""
        return TAGS[type(self.record)]


def read(
    paths: Sequence[str | Path] = (),
    kinds: tuple[type[Struct], ...] = RECORDS,
    stdin: BinaryIO | None = None,
) -> Iterator[Line]:
    """The records of these files one after the other; no path or `-` is stdin."""
    for path in paths or ("-",):
        if str(path) == "-":
            yield from _records(_chunks(stdin or sys.stdin.buffer, STDIN), STDIN, kinds)
        else:
            yield from _read_file(Path(path), kinds)


def _read_file(path: Path, kinds: tuple[type[Struct], ...]) -> Iterator[Line]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    with stream:
        yield from _records(_chunks(stream, str(path)), str(path), kinds)


def _chunks(stream: BinaryIO, source: str) -> Iterator[bytes]:
    read1 = getattr(stream, "read1", stream.read)
    try:
        while chunk := read1(CHUNK):
            yield chunk
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}") from error


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines without their newlines; what follows the last newline comes last, empty when all lines are whole."""
    tail: list[bytes] = []
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        tail.append(first)
        if rest:
            yield b"".join(tail)
            yield from rest[:-1]
            tail = [rest[-1]]
    yield b"".join(tail)


def _records(chunks: Iterable[bytes], source: str, kinds: tuple[type[Struct], ...]) -> Iterator[Line]:
    lines = split_lines(chunks)
    number, raw = 1, next(lines)
    for following in lines:
        if raw and not raw.isspace():
            yield Line(_record(raw, source, number, kinds), raw, number, source)
        number, raw = number + 1, following
    if raw:
        raise InputError(f"{source}: line {number}: truncated: the last line has no newline")


def _record(raw: bytes, source: str, number: int, kinds: tuple[type[Struct], ...]) -> Record:
    try:
        record = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{source}: line {number}: {error}") from error
    if type(record) not in kinds:
        wanted = ", ".join(TAGS[kind] for kind in kinds)
        raise InputError(f"{source}: line {number}: {TAGS[type(record)]} where {wanted} was expected")
    return record
