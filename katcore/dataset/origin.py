"""What a foreign row held beside what a kat.task holds, so that writing it again gives the same row, field for field.

In: a row, and the row that its task would give by itself. Out: the task's extra field `dataset`, which every stage
passes on as it is: names in their order, fields that a task has no place for, and fields that are written in another
way than ours (a list as JSON text, a time without a zone). A field of the last kind counts only as long as the task
still says the same: what was changed since is written anew.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec import Struct

from katcore.records import Json

FIELD = "dataset"
"""The top-level field of a task's line that is not one of the record's own."""


class Origin(Struct, kw_only=True, gc=False):
    """`written` and `absent` carry the digest of what the task gave when it was read."""

    format: str
    names: list[str]
    fields: Json = {}
    written: dict[str, tuple[Any, str]] = {}
    absent: dict[str, str] = {}


class _Holder(Struct, gc=False):
    dataset: Origin | None = None


def origin_of(raw: bytes) -> Origin | None:
    """The field of a task's line; None where the task was made here."""
    return msgspec.json.decode(raw, type=_Holder).dataset


def remember(kind: str, row: Json, given: Json) -> Origin:
    """What must be kept of `row`, when its task by itself gives `given`."""
    both = row.keys() & given.keys()
    return Origin(
        format=kind,
        names=list(row),
        fields={field: value for field, value in row.items() if field not in both},
        written={name: (row[name], _digest(given[name])) for name in row if name in both and _differ(row, given, name)},
        absent={field: _digest(value) for field, value in given.items() if field not in both},
    )  # fmt: skip


def restore(origin: Origin, given: Json) -> Json:
    """The row again, with what has changed in the task since."""
    row: Json = {}
    for name in origin.names:
        if name in origin.fields:
            row[name] = origin.fields[name]
        elif name in given:
            value, digest = origin.written.get(name, (None, ""))
            row[name] = value if digest == _digest(given[name]) else given[name]
    new = {name: value for name, value in given.items() if name not in origin.names}
    return row | {name: value for name, value in new.items() if origin.absent.get(name) != _digest(value)}


def _differ(row: Json, given: Json, field: str) -> bool:
    return msgspec.json.encode(row[field]) != msgspec.json.encode(given[field])


def _digest(value: Any) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:16]
