"""Read records from files and pipes: each line decoded, validated, and kept as the bytes that it was.

In: paths of JSON lines, zstd or Parquet, told apart by content; stdin where there is no path or `-`. Out: `Line`s in
order. Nothing is ever cut short in silence: whatever is wrong is an `InputError` that names the file and the line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Struct

from katcore.errors import InputError
from katcore.records import RECORDS, Record, tag_of

CHUNK = 1 << 18
STDIN = "<stdin>"
PARQUET = b"PAR1"
TAGS = {kind: tag_of(kind) for kind in RECORDS}

Warn = Callable[[str], None]
Kinds = tuple[type[Struct], ...]

decode: Callable[[bytes], Record] = msgspec.json.Decoder(Record).decode
_shallow = msgspec.json.Decoder(dict[str, msgspec.Raw])


class _Tagged(Struct):
    schema: str


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


def splice(raw: bytes, **fields: Any) -> bytes:
    """The object `raw` with these top-level fields replaced or added; the bytes of every other value stay as they are.

    Values are anything that msgspec encodes: records, structs, plain JSON.
    """
    members: dict[str, Any] = dict(_shallow.decode(raw))
    return msgspec.json.encode(members | fields)


def read_records(
    paths: Sequence[str | Path] = (),
    kinds: Kinds = RECORDS,
    stdin: BinaryIO | None = None,
    warn: Warn | None = None,
) -> Iterator[Line]:
    """The records of these files one after the other; no path or `-` is stdin.

    A record of a type that is not in `kinds` is an error. `warn` gets a line about what could not be checked. The
    tasks that lie beside a Parquet file come ahead of its records, also where that second file is named too.
    """
    names = [Path(path) for path in paths] or [Path("-")]
    beside = {tasks_beside(name) for name in names}
    files = (name for name in names if name not in beside)
    return chain.from_iterable(
        _lines(_chunks(stdin or _stdin(), STDIN), STDIN, kinds, warn)
        if str(name) == "-"
        else _read_file(name, kinds, warn)
        for name in files
    )


def tasks_beside(path: Path) -> Path:
    """Where the tasks that belong to the records of a Parquet file lie."""
    return path.with_name(path.name + ".tasks.parquet")


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise InputError(f"{STDIN}: is closed")
    return sys.stdin.buffer


def _read_file(path: Path, kinds: Kinds, warn: Warn | None) -> Iterator[Line]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    with stream:
        head, chunks = _sniff(_chunks(stream, str(path)))
        if head.startswith(PARQUET):
            yield from _read_parquet(path, kinds)
        elif not head and path.suffix in (".zst", ".parquet"):
            raise InputError(f"{path}: truncated: a {path.suffix} file is never empty")
        else:
            yield from _lines(chunks, str(path), kinds, warn)


def _read_parquet(path: Path, kinds: Kinds) -> Iterator[Line]:
    from katcore.streams import parquet

    if not path.is_file():
        raise InputError(f"{path}: Parquet is read from a file, not from a pipe")
    beside = tasks_beside(path)
    for file in (beside, path) if beside.exists() else (path,):
        for number, raw in enumerate(parquet.read_parquet(file), 1):
            yield Line(_record(raw, str(file), number, kinds), raw, number, str(file))


def _chunks(stream: BinaryIO, source: str) -> Iterator[bytes]:
    some = getattr(stream, "read1", stream.read)
    try:
        while chunk := some(CHUNK):
            yield chunk
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}") from error


def _sniff(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, four where there are as many, and all chunks."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 4:
            break
    return head, chain((head,), chunks)


def split_lines(chunks: Iterable[bytes], source: str) -> Iterator[bytes]:
    """Lines without their newlines; the last one must have had its own."""
    tail: list[bytes] = []
    number = 1
    for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:  # bytes.split looks at one byte at a time: four times slower
            line, start = chunk[start:end], end + 1
            number += 1
            yield b"".join((*tail, line)) if tail else line
            tail = []
        if start < len(chunk):
            tail.append(chunk[start:])
    if tail:
        raise InputError(f"{source}: line {number}: truncated: the last line has no newline")


def _lines(chunks: Iterator[bytes], source: str, kinds: Kinds, warn: Warn | None) -> Iterator[Line]:
    head, chunks = _sniff(chunks)
    if head.startswith(PARQUET):
        raise InputError(f"{source}: Parquet is read from a file, not from a pipe", hint="name the file")
    if len(head) >= 4 and not head.startswith(b"{"):
        from katcore.streams import zst

        if zst.is_zstd(head):
            chunks = zst.decompress(chunks, source, warn)
    for number, raw in enumerate(split_lines(chunks, source), 1):
        if raw and not raw.isspace():
            yield Line(_record(raw, source, number, kinds), raw, number, source)


def _record(raw: bytes, source: str, number: int, kinds: Kinds) -> Record:
    try:
        record = decode(raw)
        if not raw.isascii():
            raw.decode()  # msgspec does not look into the strings of fields that it does not know
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{source}: line {number}: {_why(raw, error)}", hint=_hint(raw)) from error
    if type(record) not in kinds:
        wanted = " or ".join(TAGS[kind] for kind in kinds)
        raise InputError(f"{source}: line {number}: {TAGS[type(record)]}, where {wanted} was expected")
    return record


def _why(raw: bytes, error: Exception) -> str:
    """What is wrong with a line, in words for people."""
    if isinstance(error, UnicodeDecodeError):
        return f"not UTF-8: {error.reason}"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if not isinstance(error, msgspec.ValidationError):
        return f"not JSON: {error}"
    tag = _tag(raw)
    if not tag:
        return f"not a record of KAT: {error}"
    if tag in TAGS.values():
        return f"{tag}: {error}"
    known = [other for other in TAGS.values() if other.partition("/")[0] == tag.partition("/")[0]]
    return f"{tag}: this version of KAT reads {known[0]}" if known else f"unknown schema {tag!r}"


def _hint(raw: bytes) -> str:
    return "" if _tag(raw) else 'each line is a JSON object such as {"schema": "kat.task/1", ...}'


def _tag(raw: bytes) -> str:
    try:
        return msgspec.json.decode(raw, type=_Tagged).schema
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
