"""What a foreign record held beside what a kat.trajectory holds, so that writing it again gives the same record.

It travels in `artifacts.origin`: the format, and the difference between the row and what the trajectory gives.
"""

from __future__ import annotations

from msgspec.structs import replace

from katcore.records import Json, Trajectory
from katcore.streams.merge import difference, merge

FIELD = "origin"
"""The key in `artifacts` under which a foreign row's other fields are kept."""


def remember(trajectory: Trajectory, name: str, row: Json, given: Json) -> Trajectory:
    """The trajectory with those fields of `row` that writing it would not give; `given` is what writing it gives."""
    found = {"format": name, "difference": difference(row, given)}
    return replace(trajectory, artifacts=trajectory.artifacts | {FIELD: found})


def restore(trajectory: Trajectory, name: str, given: Json) -> Json:
    """The foreign row as it was, if the trajectory came from this format; else `given`."""
    found = trajectory.artifacts.get(FIELD)
    if not isinstance(found, dict) or found.get("format") != name:
        return given
    row: Json = merge(found.get("difference"), given)
    return row
