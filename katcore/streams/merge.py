"""Three-way merge of JSON: what makes one value of another, and that change made again on one that has changed since.

In: a row as it was read, and the row that its record would give by itself. Out: their difference, which travels with
the record. A place where the record has changed since is as the record says, and loses what was remembered of it: each
place carries a digest of what it was laid on. Every other place is as it was, the order of names included. Columns of
a Parquet file cannot change in between: there `overlay.py` needs neither digests nor an order.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from katcore.records import Json
from katcore.streams.overlay import has_parts


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
        return change if list(merge(change, given)) == list(row) else change | {"names": list(row)}
    if isinstance(row, list) and isinstance(given, list) and len(row) == len(given) and has_parts(given):
        changes = [(place, new, difference(old, new)) for place, (old, new) in enumerate(zip(row, given))]
        return {"items": [[place, _digest(new), change] for place, new, change in changes if change is not None]}
    return {"value": row, "of": _digest(given)}


def merge(change: Json | None, given: Any) -> Any:
    """`given` with a change of `difference` made, wherever it is still as it was then."""
    if not change:
        return given
    if "value" in change:
        return change["value"] if change["of"] == _digest(given) else given
    if "items" in change and isinstance(given, list):
        made = list(given)
        for place, digest, inner in change["items"]:
            if place < len(made) and _digest(made[place]) == digest:
                made[place] = merge(inner, made[place])
        return made
    if not isinstance(given, dict):
        return given
    absent, inner = change.get("absent", {}), change.get("inner", {})
    row = {
        name: merge(inner.get(name), value)
        for name, value in given.items()
        if absent.get(name) is None or absent[name] != _digest(value)
    }
    row |= {name: value for name, value in change.get("fields", {}).items() if name not in given}
    return {name: row[name] for name in change.get("names", ()) if name in row} | row


def _encoded(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


def _digest(value: Any) -> str:
    return hashlib.sha256(_encoded(value)).hexdigest()[:16]
