"""IFEval-style instructions: a prompt and constraints on the answer that a program can check.

In: a row, or a task. Out: the other. Verification is of kind `rules` with one rule `constraints` in IFEval's columns:
the instructions' ids (`length_constraints:number_words`) and their keyword arguments, without those that are null, as
Parquet writes what a constraint does not take.
"""

from __future__ import annotations

import json
from typing import Any

from katcore.dataset.rows import EPOCH, text
from katcore.records import Benchmark, Environment, Instruction, Json, Task, TaskSource, Verification

RECIPE = "ifeval"
NEEDS = ("prompt", "instruction_id_list", "kwargs")


def to_task(row: Json) -> Task:
    """KeyError, TypeError or ValueError name the field that is not as it should be."""
    ids, arguments = row["instruction_id_list"], row["kwargs"]
    arguments = json.loads(arguments) if isinstance(arguments, str) else arguments
    if not isinstance(ids, list) or not isinstance(arguments, list) or len(ids) != len(arguments):
        raise ValueError("instruction_id_list and kwargs are lists of one length")
    rule = {"check": "constraints", "instruction_id_list": ids, "kwargs": [_given(one) for one in arguments]}
    return Task(
        instance_id=f"ifeval-{row.get('key', row.get('id', ''))}",
        repo="",
        base_commit="",
        created_at=EPOCH,
        domain="general",
        benchmark=Benchmark(name="ifeval"),
        problem_statement=text(row, "prompt"),
        instruction=Instruction(kind="human"),
        source=TaskSource(kind="inline"),
        environment=Environment(recipe=RECIPE),
        verification=Verification(kind="rules", rubric={"rules": [rule]}),
    )


def from_task(task: Task) -> Json:
    """A row."""
    rules = (task.verification.rubric or {}).get("rules") or []
    rule: Json = next((each for each in rules if each.get("check") == "constraints"), {})
    key = task.instance_id.removeprefix("ifeval-")
    return {
        "key": int(key) if key.isdigit() else key,
        "prompt": task.problem_statement,
        "instruction_id_list": rule.get("instruction_id_list", []),
        "kwargs": rule.get("kwargs", []),
    }


def _given(arguments: Any) -> Json:
    if arguments is None:
        return {}
    if not isinstance(arguments, dict):
        raise TypeError("kwargs holds something that is no object")
    return {name: value for name, value in arguments.items() if value is not None}
