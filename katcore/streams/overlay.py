"""A JSON overlay: what turns one JSON value into another, where the first is sure to be there unchanged.

In: a value as it shall be and as it is. Out: the overlay, kept in `kat.residual` of Parquet files: an object descends
into an object or, by index, into a list; a list of one element replaces. Nothing is taken away: what only the value
that is there has are defaults. For a value that may change in between there is `merge.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def overlay(wanted: Any, there: Any) -> Any:
    """What turns `there` into `wanted`; None when nothing does."""
    if isinstance(wanted, dict) and isinstance(there, dict):
        return _changes((key, overlay(value, there[key]) if key in there else [value]) for key, value in wanted.items())
    if wanted == there:
        return None
    if isinstance(wanted, list) and isinstance(there, list) and len(wanted) == len(there) and has_parts(wanted):
        return _changes((str(i), overlay(one, other)) for i, (one, other) in enumerate(zip(wanted, there)))
    return [wanted]


def lay_over(value: Any, change: Any) -> Any:
    """The value with an overlay on it; changed in place where it is an object or a list."""
    if isinstance(change, list):
        return change[0]
    for key, inner in change.items():
        at = int(key) if isinstance(value, list) else key
        value[at] = inner[0] if isinstance(inner, list) else lay_over(value[at], inner)
    return value


def has_parts(values: list[Any]) -> bool:
    """Whether it pays to look inside: a list of numbers or words is taken as a whole."""
    return any(isinstance(one, dict | list) for one in values)


def _changes(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any] | None:
    return {key: change for key, change in pairs if change is not None} or None
