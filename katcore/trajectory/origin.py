"""What a foreign record held beside what a kat.trajectory holds, so that writing it again gives the same record.

In: a row as it was read, and the row that its trajectory would give by itself. Out: their difference, which travels in
`artifacts.origin`. A place where the trajectory has changed since (a message was replaced, steps were trimmed) is
written anew and loses what was remembered of it; every other place is as it was.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec.structs import replace

from katcore.records import Json, Trajectory

FIELD = "origin"
"""The member of `artifacts`."""


def remember(trajectory: Trajectory, name: str, row: Json, given: Json) -> Trajectory:
    """The trajectory with what of `row` it would not give by itself; `given` is what it gives."""
    found = {"format": name, "difference": difference(row, given)}
    return replace(trajectory, artifacts=trajectory.artifacts | {FIELD: found})


def restore(trajectory: Trajectory, name: str, given: Json) -> Json:
    """The row again, if it came from this format; else what is given."""
    found = trajectory.artifacts.get(FIELD)
    if not isinstance(found, dict) or found.get("format") != name:
        return given
    row: Json = apply(found.get("difference"), given)
    return row


def difference(row: Any, given: Any) -> Json | None:
    """What makes `row` of `given`; None where they are the same."""
    if _encoded(row) == _encoded(given):
        return None
    if isinstance(row, dict) and isinstance(given, dict):
        inner = {name: difference(value, given[name]) for name, value in row.items() if name in given}
        found = {
            "fields": {name: value for name, value in row.items() if name not in given},
            "absent": {name: _digest(value) for name, value in given.items() if name not in row},
            "inner": {name: each for name, each in inner.items() if each is not None},
        }
        return {name: value for name, value in found.items() if value}
    if isinstance(row, list) and isinstance(given, list) and len(row) == len(given) and _holds_more(given):
        changes = [(place, new, difference(old, new)) for place, (old, new) in enumerate(zip(row, given))]
        return {"items": [[place, _digest(new), change] for place, new, change in changes if change is not None]}
    return {"value": row, "of": _digest(given)}


def apply(change: Json | None, given: Any) -> Any:
    """The inverse of `difference`, wherever `given` is still what it was."""
    if not change:
        return given
    if "value" in change:
        return change["value"] if change["of"] == _digest(given) else given
    if "items" in change and isinstance(given, list):
        made = list(given)
        for place, digest, inner in change["items"]:
            if place < len(made) and _digest(made[place]) == digest:
                made[place] = apply(inner, made[place])
        return made
    if not isinstance(given, dict):
        return given
    absent, inner = change.get("absent", {}), change.get("inner", {})
    row = {
        name: apply(inner.get(name), value)
        for name, value in given.items()
        if absent.get(name) is None or absent[name] != _digest(value)
    }
    return row | {name: value for name, value in change.get("fields", {}).items() if name not in given}


def _holds_more(values: list[Any]) -> bool:
    """Whether a list has objects or lists in it; one of numbers or words is remembered as a whole."""
    return any(isinstance(value, dict | list) for value in values)


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _digest(value: Any) -> str:
    return hashlib.sha256(_encoded(value)).hexdigest()[:16]
