"""What a foreign record held beside what a kat.trajectory holds, so that writing it again gives the same record.

It travels in `artifacts.origin`: the format, and the difference between the row and what the trajectory gives.
"""

from __future__ import annotations

from msgspec.structs import replace

from katcore.records import Json, Trajectory
from katcore.streams.merge import difference, merge

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
    row: Json = merge(found.get("difference"), given)
    return row
