"""The patch that a Harbor task's reference solution amounts to: its script is run in a box and the changes are read.

In: a task that came as a Harbor folder. Out: the same task with `patch`. The box has no network; what the script leaves
outside the working folder is not in the patch, so the patch is proven by grading it like any attempt.
"""

from __future__ import annotations

import msgspec

from katcore.dataset import files
from katcore.environment.built import box_spec
from katcore.environment.variables import run_env
from katcore.environment.workspace import workspace
from katcore.errors import RecordError
from katcore.records import Task
from katcore.sandbox import Sandbox
from katcore.source.git import GIT_ENV

LONGEST_S = 1800.0
"""Seconds that a solution may take."""
_DIFF = "git add --all --force . && git diff --cached --binary --full-index --no-renames --no-ext-diff HEAD"


def solved(task: Task, boxes: Sandbox) -> Task:
    """The task with its patch. RecordError when there is no solution or its script fails."""
    references = task.verification.references or []
    solution = references[0].get("files", {}) if references else {}
    if "solve.sh" not in solution:
        raise RecordError("solve", "the task has no solution/solve.sh")
    place = task.environment
    box = boxes.create(box_spec(f"solve-{task.instance_id}", place, workspace(task.source), boxes))
    try:
        for name, file in solution.items():
            box.put(f"/tmp/solution/{name}", files.content(file), 0o755 if file["mode"] == "100755" else 0o644)
        done = box.exec(["/bin/bash", "/solution/solve.sh"], env=run_env(place, box), timeout_s=LONGEST_S)
        if done.code != 0:
            said = (done.stdout + done.stderr).decode("utf-8", "replace").strip()[-500:]
            raise RecordError("solve", f"solution/solve.sh ended with {done.code}: {said}")
        diff = box.exec(_DIFF, env=GIT_ENV, timeout_s=300)
        if diff.code != 0 or diff.truncated:
            raise RecordError("solve", f"the changes cannot be read: {diff.stderr.decode('utf-8', 'replace')[-300:]}")
    finally:
        box.close()
    return msgspec.structs.replace(task, patch=diff.stdout.decode("utf-8", "surrogateescape"))
