"""Answers nested without end or with numbers that no float holds, and tasks whose reward is no number."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from katcore.errors import RecordError
from katcore.records import Task, TaskSource, Verification
from katcore.verify.numbers import number_of
from katcore.verify.program import _right
from katcore.verify.rubric import rubric_of
from katcore.verify.rules import Case, Program, rules_of


def task(**rubric: Any) -> Task:
    return Task(
        instance_id="r", repo="r", base_commit="0" * 40, created_at="2025-01-01T00:00:00Z",
        source=TaskSource(kind="inline"), verification=Verification(kind="rules", rubric=rubric),
    )  # fmt: skip


@pytest.mark.parametrize("printed", ["[" * 100_000, "[" * 100_000 + "]" * 100_000, "1" + "0" * 400, "9" * 5000, "NaN"])
def test_what_a_function_returns(printed: str) -> None:
    """Without the guard the judge itself would end."""
    case = Case(call="f", value=1.5)
    assert not _right(Program(cases=[case]), case, printed)
    if printed not in ("NaN", "9" * 5000):
        with pytest.raises((RecursionError, OverflowError)):
            float(json.loads(printed))


def test_numbers_without_end() -> None:
    assert number_of("1e999999999") == Decimal("1e999999999") and number_of("1e99999999999999999999") is None
    assert number_of("1" * 1_000_000) == Decimal("1" * 1_000_000)
    assert number_of("\\boxed{" * 100_000) is None


@pytest.mark.parametrize("field", ["weight", "rel", "abs"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_rules_whose_reward_is_no_number(field: str, value: float) -> None:
    with pytest.raises(RecordError):
        rules_of(task(rules=[{"check": "numeric", "answer": 1, field: value}]))


def test_a_broken_constraint_that_earns_something() -> None:
    rule = {"check": "constraints", "instruction_id_list": ["punctuation:no_comma"], "penalty": -1}
    with pytest.raises(RecordError):
        rules_of(task(rules=[rule]))


@pytest.mark.parametrize(
    "change", [{"passes": -1}, {"passes": 0}, {"dimensions": [{"name": "a", "weight": float("inf")}]}]
)
def test_rubrics_that_everything_passes(change: dict[str, Any]) -> None:
    with pytest.raises(RecordError):
        rubric_of(task(**{"dimensions": [{"name": "a"}], **change}))
