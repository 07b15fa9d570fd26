"""Numbers that are near the right one, without end, or only look like one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from katcore.errors import RecordError
from katcore.verify import rules
from katcore.verify.program import _right
from katcore.verify.rules import Case, Program
from tests.support.constraints import said, task

PRIME = 10**9 + 7


def reward(text: str, answer: Any, **rule: Any) -> float:
    asked = task({"check": "numeric", "answer": answer, **rule})
    return rules.verdict(asked, said(text), lambda *_: pytest.fail("no program here")).reward


@pytest.mark.parametrize(
    "near", ["1000000000", "1e9", "1000000006", "1000000007.0000001", "1,000,000,000", "0x3b9aca07"]
)
def test_an_integer_is_meant_exactly(near: str) -> None:
    assert reward(near, PRIME) == reward(near, float(PRIME)) == 0.0
    assert reward("1000000007.0", PRIME) == reward("1.000000007e9", float(PRIME)) == 1.0
    assert reward("1e9", PRIME, rel=1e-6) == 1.0, "where a tolerance is asked for"


@pytest.mark.parametrize("endless", ["inf", "-inf", "nan", "Infinity", "1e999", "1e999999999999999999999", "9" * 401])
def test_infinity_is_no_number(endless: str) -> None:
    big = int("1" * 400)
    assert reward(endless, big) == reward(endless, big, rel=0.5) == reward(endless, 1e300, rel=0.5) == 0.0
    assert reward("1" * 400, big) == 1.0 and reward("1" * 399 + "2", big) == 0.0


def test_a_task_that_wants_infinity_is_malformed() -> None:
    with pytest.raises(RecordError, match="without end"):
        reward("1e999", float("inf"))


def test_nothing_is_near_to_zero_by_itself() -> None:
    assert reward("0.000000001", 0) == reward("1e-12", 0.0) == 0.0
    assert reward("1e-12", 0.0, abs=1e-9) == reward("0.0", 0) == 1.0


@pytest.mark.parametrize(
    ("value", "wanted"),
    [(10**9, PRIME), (1e9, PRIME), (1e-7, 0.0), (1e-7, 2e-7), (float("inf"), 1e308), (True, 1), ([1.0, 2], [1.0, 3])],
)
def test_what_a_call_returns(value: Any, wanted: Any) -> None:
    case = Case(call="f", value=wanted)
    assert not _right(Program(cases=[case]), case, json.dumps(value))
    assert _right(Program(cases=[case]), case, json.dumps(wanted))


@pytest.mark.parametrize(
    ("printed", "wanted"),
    [
        ("1000000000", str(PRIME)),
        ("inf", "1" * 400),
        ("1e999", "1" * 400),
        ("nan", "nan."),
        ("1_0", "10.5"),
        ("1_0", "10"),
    ],
)
def test_what_a_program_prints(printed: str, wanted: str) -> None:
    case = Case(stdout=wanted)
    rule = Program(cases=[case], compare="numeric")
    assert not _right(rule, case, printed) and _right(rule, case, wanted)
