"""SWE-smith: bugs made by machines in repositories whose tests pass.

In: a row, or a task. Out: the other. Two traps: a row's `patch` *brings the bug in*, so a task's patch, which removes
it, is the reverse; and the state to start from is the branch `instance_id` of the mirror `repo`. Some 18,000 rows of
the released set have no problem statement, and neither have their tasks: nothing here writes one yet.
"""

from __future__ import annotations

from katcore.dataset.reverse import reverse
from katcore.dataset.rows import EPOCH, text, texts
from katcore.dataset.swe_bench import WORKDIR, github
from katcore.records import Benchmark, Environment, Instruction, Json, Report, Task, TaskSource, Verification

RECIPE = "swe-smith"
NEEDS = ("instance_id", "repo", "patch", "image_name", "FAIL_TO_PASS", "PASS_TO_PASS")


def to_task(row: Json) -> Task:
    """KeyError, TypeError or ValueError name the field that is not as it should be."""
    name, repo = text(row, "instance_id"), text(row, "repo")
    return Task(
        instance_id=name,
        repo=repo,
        base_commit=name,
        created_at=EPOCH,
        benchmark=Benchmark(name="swe-smith") if repo.startswith("swesmith/") else None,
        problem_statement=text(row, "problem_statement", ""),
        instruction=Instruction(kind="llm"),
        source=TaskSource(kind="git", url=github(repo), ref=name),
        environment=Environment(
            recipe=RECIPE,
            workdir=WORKDIR,
            image=text(row, "image_name", "") or None,
            report=Report(kind="log", path=""),
        ),
        verification=Verification(FAIL_TO_PASS=texts(row, "FAIL_TO_PASS"), PASS_TO_PASS=texts(row, "PASS_TO_PASS")),
        patch=reverse(text(row, "patch")),
    )


def from_task(task: Task) -> Json:
    """The seven fields of the released sets."""
    return {
        "instance_id": task.instance_id,
        "patch": reverse(task.patch),
        "FAIL_TO_PASS": list(task.verification.FAIL_TO_PASS),
        "PASS_TO_PASS": list(task.verification.PASS_TO_PASS),
        "image_name": task.environment.image or "",
        "repo": task.repo,
        "problem_statement": task.problem_statement,
    }
