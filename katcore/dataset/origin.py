"""What a foreign row held beside what a kat.task holds, so that writing it again gives the same row, field for field.

It travels in the extra field `dataset` of the task's line, which every stage passes on as it is: the format, and the
difference between the row and what the task gives.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from katcore.records import Json
from katcore.streams.merge import difference, merge

FIELD = "dataset"
"""The top-level field of a task's line that is not one of the record's own."""


class Origin(Struct, kw_only=True, gc=False):
    """`difference` is None where the task says all of it."""

    format: str
    difference: Json | None = None


class _Holder(Struct, gc=False):
    dataset: Origin | None = None


def origin_of(raw: bytes) -> Origin | None:
    """The field of a task's line; None where the task was made here."""
    return msgspec.json.decode(raw, type=_Holder).dataset


def remember(kind: str, row: Json, given: Json) -> Origin:
    """What must be kept of `row`, when its task by itself gives `given`."""
    return Origin(format=kind, difference=difference(row, given))


def restore(origin: Origin, given: Json) -> Json:
    """The row again, with what has changed in the task since."""
    row: Json = merge(origin.difference, given)
    return row
