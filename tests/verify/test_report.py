"""Rates and intervals, against figures worked out elsewhere."""

from __future__ import annotations

import pytest

from katcore.records import Scaffold, Trajectory, Verdict
from katcore.verify.report import rows, table, wilson


def attempt(task: str, index: int, reward: float, *, masked: bool = False, model: str = "m") -> Trajectory:
    return Trajectory(
        id=f"{task}-{index}-{model}",
        task_id=task,
        group_id=task,
        sample_index=index,
        scaffold=Scaffold(name="bash-loop", version="1"),
        model=model,
        domain="swe",
        verdict=Verdict(reward=reward, passed=reward == 1, masked=masked),
    )


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # scipy 1.17.1: binomtest(k, n).proportion_ci(0.95, method="wilson")
        (0, 10, 0.0, 0.2775328),
        (5, 10, 0.2365931, 0.7634069),
        (10, 10, 0.7224672, 1.0),
        (48, 64, 0.6318372, 0.8398507),
        (1, 3, 0.0614919, 0.7923404),
    ],
)
def test_wilson(successes: int, n: int, low: float, high: float) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=1e-6)


def test_no_attempts_say_nothing() -> None:
    assert wilson(0, 0) == (0.0, 1.0)


def test_rates_are_per_task_and_masked_attempts_are_left_out() -> None:
    graded = [attempt("a", i, r) for i, r in enumerate([1, 1, 0, 0])]
    graded += [attempt("b", i, r) for i, r in enumerate([1, 1])]
    graded += [attempt("c", 0, 0), attempt("c", 1, 1, masked=True)]
    (row,) = rows(graded)
    assert (row.tasks, row.attempts, row.masked) == (3, 7, 1)
    assert row.pass_at_1 == pytest.approx((0.5 + 1 + 0) / 3)
    assert row.mean == pytest.approx(4 / 7)
    assert row.best == pytest.approx(2 / 3)
    assert row.all_passed == pytest.approx(1 / 3)


def test_one_row_for_each_model_and_nothing_without_a_verdict() -> None:
    unseen = attempt("a", 9, 1)
    unseen.verdict = None
    found = rows([attempt("a", 0, 1, model="z"), attempt("a", 0, 0, model="b"), unseen])
    assert [(row.model, row.attempts) for row in found] == [("b", 1), ("z", 1)]
    assert table(found).splitlines()[0].split()[:3] == ["domain", "scaffold", "model"]
