"""LiveCodeBench: problems of programming contests, checked by running a program on given inputs.

In: a row, or a task. Out: the other. Verification is of kind `rules` with a rubric `{"kind": "programs", "language",
"entry_point", "starter_code", "cases": [{input, output, type: stdin | functional, hidden}]}`; `entry_point` is the
function that functional cases call with the lines of `input` as JSON arguments. Hidden cases come compressed (base64 of
zlib of a pickled text): the pickle is read by a loader that knows no classes.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from typing import Any

from katcore.dataset.rows import text, when
from katcore.records import Environment, Instruction, Json, Labels, Task, TaskSource, Verification

RECIPE = "livecodebench"
NEEDS = ("question_id", "question_content", "public_test_cases", "private_test_cases")
DIFFICULTY = {"easy": 0.2, "medium": 0.5, "hard": 0.8}
LARGEST = 256 << 20
"""Bytes of one problem's hidden cases: beyond that the row is no problem but a bomb."""


def to_task(row: Json) -> Task:
    """KeyError, TypeError or ValueError name the field that is not as it should be."""
    name, level = text(row, "question_id"), text(row, "difficulty", "")
    metadata = _json(row.get("metadata")) or {}
    cases = [*_cases(row, "public_test_cases", False), *_cases(row, "private_test_cases", True)]
    return Task(
        instance_id=f"livecodebench-{name}",
        repo="",
        base_commit="",
        created_at=when(row.get("contest_date")),
        domain="code",
        labels=Labels(language="Python", context="algorithms", archetype="code generation"),
        difficulty=DIFFICULTY.get(level),
        problem_statement=text(row, "question_content"),
        instruction=Instruction(kind="human", variant=text(row, "platform", "")),
        source=TaskSource(kind="inline"),
        environment=Environment(recipe=RECIPE),
        verification=Verification(
            kind="rules",
            rubric={
                "kind": "programs",
                "language": "python",
                "entry_point": metadata.get("func_name"),
                "starter_code": text(row, "starter_code", ""),
                "cases": cases,
            },
        ),
    )


def from_task(task: Task) -> Json:
    """A row whose hidden cases are plain JSON text."""
    rubric = task.verification.rubric or {}
    cases = rubric.get("cases") or []
    return {
        "question_title": "",
        "question_content": task.problem_statement,
        "platform": task.instruction.variant,
        "question_id": task.instance_id.removeprefix("livecodebench-"),
        "contest_id": "",
        "contest_date": task.created_at,
        "starter_code": rubric.get("starter_code") or "",
        "difficulty": {value: name for name, value in DIFFICULTY.items()}.get(task.difficulty or 0.0, ""),
        "public_test_cases": _written(cases, False),
        "private_test_cases": _written(cases, True),
        "metadata": json.dumps({"func_name": rubric["entry_point"]} if rubric.get("entry_point") else {}),
    }


def _cases(row: Json, field: str, hidden: bool) -> list[Json]:
    found = _json(row.get(field)) or []
    if not isinstance(found, list) or not all(isinstance(case, dict) for case in found):
        raise TypeError(f"{field} is not a list of cases")
    return [
        {"input": text(case, "input"), "output": text(case, "output"), "type": text(case, "testtype"), "hidden": hidden}
        for case in found
    ]


def _written(cases: list[Json], hidden: bool) -> str:
    kept = [case for case in cases if case["hidden"] == hidden]
    return json.dumps([{"input": case["input"], "output": case["output"], "testtype": case["type"]} for case in kept])


def _json(value: Any) -> Any:
    """JSON, JSON text, or JSON text as LiveCodeBench packs it."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value) if value.strip() else None
    except ValueError:
        return json.loads(_unpacked(value))


def _unpacked(value: str) -> str:
    try:
        packed = base64.b64decode(value, validate=True)
        opened = zlib.decompressobj()
        data = opened.decompress(packed, LARGEST)
        inner = _NoClasses(io.BytesIO(data)).load()
    except (binascii.Error, zlib.error, pickle.UnpicklingError, EOFError) as error:
        raise ValueError(f"packed cases cannot be read: {error}") from error
    if not isinstance(inner, str) or opened.unconsumed_tail:
        raise ValueError("packed cases are no text, or too much of it")
    return inner


class _NoClasses(pickle.Unpickler):
    """Texts, numbers and lists only: a pickle that names a class could run anything."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"{module}.{name} has no place in test cases")
