"""LiveCodeBench: problems of programming contests, checked by running a program on given inputs.

In: a row, or a task. Out: the other. Verification is of kind `rules` with one rule `program`: each case is an input and
what must be printed, or a call of the row's function with the lines of the input as JSON arguments. `public` beside it
says how many of the cases, the first ones, the problem shows. Hidden cases come compressed (base64 of zlib of a pickled
text): the pickle is read by a loader that knows no classes.
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
from katcore.records import Benchmark, Environment, Instruction, Json, Labels, Task, TaskSource, Verification

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
        benchmark=Benchmark(name="livecodebench"),
        labels=Labels(language="Python", context="algorithms", archetype="code generation"),
        difficulty=DIFFICULTY.get(level),
        problem_statement=text(row, "question_content"),
        instruction=Instruction(kind="human", variant=text(row, "platform", "")),
        source=TaskSource(kind="inline"),
        environment=Environment(recipe=RECIPE),
        verification=Verification(
            kind="rules",
            rubric={
                "starter_code": text(row, "starter_code", ""),
                "public": sum(not case["hidden"] for case in cases),
                "rules": [{"check": "program", "cases": [_rule_case(case, metadata) for case in cases]}],
            },
        ),
    )


def from_task(task: Task) -> Json:
    """A row whose hidden cases are plain JSON text."""
    rubric = task.verification.rubric or {}
    rules = rubric.get("rules") or []
    cases: list[Json] = next((rule.get("cases", []) for rule in rules if rule.get("check") == "program"), [])
    public = int(rubric.get("public") or 0)
    called = next((case["call"] for case in cases if case.get("call")), None)
    return {
        "question_title": "",
        "question_content": task.problem_statement,
        "platform": task.instruction.variant,
        "question_id": task.instance_id.removeprefix("livecodebench-"),
        "contest_id": "",
        "contest_date": task.created_at,
        "starter_code": rubric.get("starter_code") or "",
        "difficulty": {value: name for name, value in DIFFICULTY.items()}.get(task.difficulty or 0.0, ""),
        "public_test_cases": _written(cases[:public]),
        "private_test_cases": _written(cases[public:]),
        "metadata": json.dumps({"func_name": called} if called else {}),
    }


def _cases(row: Json, field: str, hidden: bool) -> list[Json]:
    found = _json(row.get(field)) or []
    if not isinstance(found, list) or not all(isinstance(case, dict) for case in found):
        raise TypeError(f"{field} is not a list of cases")
    return [
        {"input": text(case, "input"), "output": text(case, "output"), "type": text(case, "testtype"), "hidden": hidden}
        for case in found
    ]


def _rule_case(case: Json, metadata: Json) -> Json:
    """A case as the rule takes it. ValueError where a function's arguments or its name are missing."""
    if case["type"] != "functional":
        return {"stdin": case["input"], "stdout": case["output"]}
    if not metadata.get("func_name"):
        raise ValueError("metadata names no func_name, which functional cases call")
    arguments = [json.loads(line) for line in case["input"].split("\n") if line.strip()]
    return {"call": metadata["func_name"], "arguments": arguments, "value": json.loads(case["output"])}


def _written(cases: list[Json]) -> str:
    return json.dumps([_row_case(case) for case in cases])


def _row_case(case: Json) -> Json:
    if not case.get("call"):
        return {"input": case["stdin"], "output": case["stdout"], "testtype": "stdin"}
    lines = "\n".join(json.dumps(argument) for argument in case["arguments"])
    return {"input": lines, "output": json.dumps(case["value"]), "testtype": "functional"}


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
