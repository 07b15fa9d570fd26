"""What makes one JSON value of another, as JSON; and that change made again on a value that may be another by then.

In: a row as it was read, and the row that its record would give by itself. Out: their difference. A place where the
record has changed since is as the record says, and loses what was remembered of it; every other place is as it was.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from katcore.records import Json


def difference(row: Any, given: Any) -> Json | None:
    """The change that makes `row` of `given`; None where they are the same, the order of names included."""
    if msgspec.json.encode(row) == msgspec.json.encode(given):
        return None
    if isinstance(row, dict) and isinstance(given, dict):
        inner = {name: difference(value, given[name]) for name, value in row.items() if name in given}
        found = {
            "fields": {name: value for name, value in row.items() if name not in given},
            "absent": {name: _digest(value) for name, value in given.items() if name not in row},
            "inner": {name: each for name, each in inner.items() if each is not None},
        }
        change = {name: value for name, value in found.items() if value}
        return change if list(apply(change, given)) == list(row) else change | {"names": list(row)}
    if isinstance(row, list) and isinstance(given, list) and len(row) == len(given) and _holds_more(given):
        changes = [(place, new, difference(old, new)) for place, (old, new) in enumerate(zip(row, given))]
        return {"items": [[place, _digest(new), change] for place, new, change in changes if change is not None]}
    return {"value": row, "of": _digest(given)}


def apply(change: Json | None, given: Any) -> Any:
    """`given` with a change of `difference` made, wherever it is still as it was then."""
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
    row |= {name: value for name, value in change.get("fields", {}).items() if name not in given}
    return {name: row[name] for name in change.get("names", ()) if name in row} | row


def _holds_more(values: list[Any]) -> bool:
    """Whether a list has objects or lists in it; one of numbers or words is remembered as a whole."""
    return any(isinstance(value, dict | list) for value in values)


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _digest(value: Any) -> str:
    return hashlib.sha256(_encoded(value)).hexdigest()[:16]
