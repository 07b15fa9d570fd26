"""SWE-bench predictions: `instance_id`, `model_name_or_path` and `model_patch`; of an attempt only its patch."""

from __future__ import annotations

from katcore.records import Json, Trajectory
from katcore.trajectory.formats import View
from katcore.trajectory.formats.kept import trajectory_of

NAME = "swe-bench"


def to_row(view: View) -> Json:
    """The patch of an attempt; "" where it has none, which SWE-bench counts as an empty one."""
    attempt = view.trajectory
    return {"instance_id": attempt.task_id, "model_name_or_path": attempt.model, "model_patch": attempt.patch or ""}


def from_row(row: Json) -> Trajectory:
    """An attempt without messages, which kat-verify can grade."""
    known = {"task_id": row["instance_id"], "model": row["model_name_or_path"], "patch": row.get("model_patch")}
    return trajectory_of(NAME, row, {}, [], [], **known)
