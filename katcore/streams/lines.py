"""One line of a record stream: decoded, validated, and kept as the bytes that it was.

In: bytes. Out: `Line`s. Whatever is wrong is an `InputError` that names the file and the line. `checked` is the other
end: what a reader would refuse is not written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from katcore.errors import InputError, RecordError
from katcore.records import RECORDS, Record, encode, tag_of

TAGS = {kind: tag_of(kind) for kind in RECORDS}

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


def tasks_beside(path: Path) -> Path:
    """Where the tasks that belong to the records of a Parquet file lie."""
    return path.with_name(path.name + ".tasks.parquet")


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


def checked(record: Record | bytes) -> bytes:
    """A record as its line. RecordError where a reader would refuse it: it must not be written."""
    raw = b""
    try:
        raw = record if isinstance(record, bytes) else encode(record)
        _decoded(raw)
    except (ValueError, TypeError, RecursionError) as error:  # msgspec's errors are ValueErrors, as those of Unicode
        what = _why(raw, error) if raw else f"cannot be written as JSON: {error}"
        raise RecordError("output", what) from error
    return raw


def _decoded(raw: bytes) -> Record:
    record = decode(raw)
    if not raw.isascii():
        raw.decode()  # msgspec does not look into the strings of fields that it does not know
    return record


def record_of(raw: bytes, source: str, number: int, kinds: Kinds) -> Record:
    """A line's record, validated. InputError says where it stands and what is wrong with it."""
    try:
        record = _decoded(raw)
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
