"""Rates and intervals, against figures worked out elsewhere."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest

from katcore.records import Benchmark, Call, Scaffold, Task, TaskSource, Timing, Trajectory, Verdict
from katcore.verify.report import bootstrap, pass_at_k, pass_hat_k, rows, table, wilson
from katcore.verify.report_page import page


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


def task(name: str, benchmark: Benchmark | None) -> Task:
    return Task(
        instance_id=name, repo="", base_commit="", created_at="2025-01-01T00:00:00Z", source=TaskSource(kind="inline"),
        benchmark=benchmark,
    )  # fmt: skip


VERIFIED, LITE = Benchmark(name="swe-bench-verified", split="test"), Benchmark(name="swe-bench-lite", version="2")


def test_two_benchmarks_of_one_domain_give_two_rows() -> None:
    attempts = [attempt("v", 0, 1), attempt("v", 1, 0), attempt("l", 0, 1), attempt("own", 0, 0)]
    tasks = [task("v", VERIFIED), task("l", LITE), task("own", None)]
    found = rows([*tasks, *attempts])
    assert [(row.benchmark, row.domain, row.pass_at_1) for row in found] == [
        (None, "swe", 0.0), (LITE, "swe", 1.0), (VERIFIED, "swe", 0.5),
    ]  # fmt: skip
    lines = table(found).splitlines()
    assert lines[0].startswith("benchmark") and lines[1].startswith("-  ")
    assert lines[2].startswith("swe-bench-lite 2") and lines[3].startswith("swe-bench-verified test")
    text = page(found, "Verdicts")
    assert "swe-bench-verified test (swe)" in text and "swe-bench-lite 2 (swe)" in text
    assert text.count("Each column is a task") == 3
    assert rows([*attempts, *tasks]) == found, "tasks may come behind what refers to them"


def test_a_version_or_a_split_more_is_another_benchmark() -> None:
    kinds = [VERIFIED, Benchmark(name="swe-bench-verified", split="dev"), Benchmark(name="swe-bench-verified")]
    records = [r for i, kind in enumerate(kinds) for r in (task(f"t{i}", kind), attempt(f"t{i}", 0, 1))]
    assert len(rows(records)) == 3


def test_one_name_in_two_benchmarks_is_told_apart_by_the_task_ahead() -> None:
    found = rows([task("a", VERIFIED), attempt("a", 0, 1), task("a", LITE), attempt("a", 0, 0)])
    assert [(row.benchmark, row.pass_at_1) for row in found] == [(LITE, 0.0), (VERIFIED, 1.0)]


@pytest.mark.parametrize("tasks", [[], [task("a", None)]])
def test_without_benchmarks_the_table_is_of_domains(tasks: list[Task]) -> None:
    (row,) = found = rows([*tasks, attempt("a", 0, 1)])
    assert (row.benchmark, row.kind) == (None, "swe")
    assert table(found).startswith("domain  scaffold")


@pytest.mark.parametrize("n", [1, 3, 7])
def test_curves_are_the_mean_over_all_draws(n: int) -> None:
    """Against every subset, counted."""
    for c in range(n + 1):
        outcomes = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            drawn = list(combinations(outcomes, k))
            assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, drawn)) / len(drawn))
            assert pass_hat_k(n, c, k) == pytest.approx(sum(map(all, drawn)) / len(drawn))


def test_the_bootstrap_covers_what_it_should() -> None:
    """The interval of the mean of 40 rates holds the true mean in about 95 of 100 worlds."""
    import numpy as np

    draws = np.random.default_rng(1)
    held = 0
    for world in range(200):
        groups = [[float(draws.random() < p) for _ in range(4)] for p in draws.beta(2, 3, size=40)]
        low, high = bootstrap(groups, seed=world)
        held += low <= 0.4 <= high
    assert 180 <= held <= 198
    assert bootstrap([[1.0]]) == (1.0, 1.0) and bootstrap([[0.2], [0.9]], 4) == bootstrap([[0.2], [0.9]], 4)


def paid(task: str, index: int, reward: float, **fields: Any) -> Trajectory:
    made = attempt(task, index, reward, **fields)
    made.calls = [Call(id=i, started_at="2025-01-01T00:00:00Z", usage={"prompt_tokens": 1000, "completion_tokens": 50})
                  for i in (0, 1)]  # fmt: skip
    made.timing = Timing(agent=90.0)
    return made


def test_cost_counts_masked_attempts_too() -> None:
    (row,) = rows([paid("a", 0, 1), paid("a", 1, 0), paid("b", 0, 0, masked=True)], prices=(2.0, 10.0))
    cost = row.cost
    assert (cost.prompt_tokens, cost.sampled_tokens, cost.calls, cost.minutes) == (2000, 100, 2, 1.5)
    assert cost.dollars == pytest.approx(0.005) and cost.dollars_per_pass == pytest.approx(0.015)
    assert rows([paid("a", 0, 1)])[0].cost.dollars is None


def test_the_page_is_whole_and_trusts_no_name() -> None:
    evil = "<script>alert(1)</script>"
    found = rows([paid("a", i, i % 2, model=evil) for i in range(4)] + [paid("b", 0, 1, model="m & n")])
    text = page(found, f"Title {evil}")
    assert evil not in text and "m &amp; n" in text and page(found, f"Title {evil}") == text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", ""), "nothing is loaded from elsewhere"
    for svg in re.findall(r"<svg.*?</svg>", text, re.DOTALL):
        ElementTree.fromstring(svg)
    assert text.count("<svg") == 5 and text.count("<table") == 2
