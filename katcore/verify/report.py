"""Tables over graded trajectories: benchmark x scaffold x model with pass@k, pass^k, mean, intervals and cost.

In: trajectories with verdicts, and their tasks, which say what benchmark they are of. Out: rows, as a table for people
or as JSON; `report_page.py` makes a page of them. Without a benchmark the trajectories' domain stands alone. Masked
attempts say nothing about the policy: they are counted and left out of every rate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import comb, sqrt

from katcore.records import Benchmark, Task, Trajectory

Z95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""
RESAMPLES = 2000
"""Draws of a bootstrap."""


def wilson(successes: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for a proportion (E. B. Wilson 1927); (0, 1) when nothing was seen."""
    if n == 0:
        return 0.0, 1.0
    p, zz = successes / n, z * z
    middle = (p + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * sqrt(p * (1 - p) / n + zz / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


def pass_at_k(n: int, c: int, k: int) -> float:
    """That one of k attempts drawn from n passes, c of which did: 1 − C(n−c, k) / C(n, k) (Chen et al. 2021)."""
    return 1 - comb(n - c, k) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """That all of k attempts drawn from n pass: C(c, k) / C(n, k) (Yao et al. 2024, tau-bench)."""
    return comb(c, k) / comb(n, k)


def bootstrap(groups: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """Percentile interval (95 %) of the mean over groups of each group's mean, groups drawn with replacement.

    One group says nothing about others: its interval is its own mean, twice.
    """
    import numpy as np

    means = np.array([sum(group) / len(group) for group in groups])
    if not len(means):
        return 0.0, 0.0
    drawn = np.random.default_rng(seed).integers(0, len(means), size=(RESAMPLES, len(means)))
    low, high = np.quantile(means[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Cost:
    """Means over all attempts with a verdict, masked ones included: they were paid for. Tokens as the engine counts."""

    prompt_tokens: float = 0.0
    sampled_tokens: float = 0.0
    calls: float = 0.0
    minutes: float = 0.0
    dollars: float | None = None
    dollars_per_pass: float | None = None


@dataclass(frozen=True)
class ReportRow:
    """One line of a report.

    `pass_at_1`: the mean over tasks of the share of attempts that passed. `pass_at_1_interval` is Wilson's over
    `attempts` (these tasks, other attempts), `pass_at_1_tasks_interval` Wilson's over `tasks` (other tasks; never too
    narrow, since attempts at one task can only add to what is known of it). `best`: the share of tasks that some
    attempt passed, with Wilson's over `tasks`. `all_passed`: the share of tasks that every attempt passed. `mean`: of
    rewards, with a bootstrap over tasks. `pass_at_k`, `pass_hat_k`: k = 1 … the fewest attempts that a task has.
    `by_task`: task -> passed, attempts. `flagged`: attempts that looked for the answer.
    """

    domain: str
    scaffold: str
    model: str
    tasks: int
    attempts: int
    masked: int
    pass_at_1: float
    pass_at_1_interval: tuple[float, float]
    pass_at_1_tasks_interval: tuple[float, float]
    mean: float
    mean_interval: tuple[float, float]
    best: float
    best_interval: tuple[float, float]
    all_passed: float
    pass_at_k: list[float] = field(default_factory=list)
    pass_hat_k: list[float] = field(default_factory=list)
    flagged: int = 0
    cost: Cost = field(default_factory=Cost)
    by_task: dict[str, tuple[int, int]] = field(default_factory=dict)
    benchmark: Benchmark | None = None

    @property
    def benchmark_name(self) -> str:
        """Its name, version and split, for people; empty where the tasks name none."""
        of = self.benchmark
        return "" if of is None else " ".join(filter(None, (of.name, of.version, of.split)))

    @property
    def kind(self) -> str:
        """What the row's tasks are, for people: the benchmark with the domain, or the domain alone."""
        if self.benchmark is None:
            return self.domain or "-"
        return f"{self.benchmark_name} ({self.domain})" if self.domain else self.benchmark_name


Key = tuple[tuple[str, ...], str, str, str]
"""Benchmark (empty, or name, version and split, "" for null), domain, scaffold, model."""


def rows(
    records: Iterable[Task | Trajectory], *, prices: tuple[float, float] | None = None, seed: int = 0
) -> list[ReportRow]:
    """One row for each benchmark, domain, scaffold and model, sorted; only attempts with a verdict count.

    Each attempt is of its task as it was last seen ahead of it, or of one that came later. `prices`: dollars for a
    million prompt and sampled tokens.
    """
    groups: dict[Key, list[_Attempt]] = defaultdict(list)
    early: list[tuple[tuple[str, str, str], _Attempt]] = []
    benchmarks: dict[str, tuple[str, ...]] = {}
    for record in records:
        if isinstance(record, Task):
            benchmarks[record.instance_id] = _names(record.benchmark)
        elif record.verdict is not None:
            attempt, who = _attempt(record), _who(record)
            if attempt.task in benchmarks:
                groups[benchmarks[attempt.task], *who].append(attempt)
            else:
                early.append((who, attempt))
    for who, attempt in early:
        groups[benchmarks.get(attempt.task, ()), *who].append(attempt)
    return [_row(key, groups[key], prices, seed) for key in sorted(groups)]


def _names(benchmark: Benchmark | None) -> tuple[str, ...]:
    return () if benchmark is None else (benchmark.name, benchmark.version or "", benchmark.split or "")


def _who(t: Trajectory) -> tuple[str, str, str]:
    return t.domain, f"{t.scaffold.name} {t.scaffold.version}".strip(), t.model


@dataclass(frozen=True)
class _Attempt:
    """What of a trajectory a report needs: it may have thousands of nodes, and reports thousands of trajectories."""

    task: str
    passed: bool
    reward: float
    masked: bool
    flagged: bool
    prompt_tokens: int
    sampled_tokens: int
    calls: int
    seconds: float


def _attempt(t: Trajectory) -> _Attempt:
    assert t.verdict is not None
    return _Attempt(
        task=t.task_id,
        passed=t.verdict.passed,
        reward=t.verdict.reward,
        masked=t.verdict.masked,
        flagged=any(flag.startswith("looks:") for flag in t.verdict.flags),
        prompt_tokens=sum(call.usage.get("prompt_tokens", 0) for call in t.calls),
        sampled_tokens=sum(call.usage.get("completion_tokens", 0) for call in t.calls),
        calls=len(t.calls),
        seconds=t.timing.agent,
    )


def _row(key: Key, graded: Sequence[_Attempt], prices: tuple[float, float] | None, seed: int) -> ReportRow:
    names, domain, scaffold, model = key
    by_task: dict[str, list[_Attempt]] = defaultdict(list)
    for attempt in graded:
        if not attempt.masked:
            by_task[attempt.task].append(attempt)
    counts = {task: (sum(a.passed for a in found), len(found)) for task, found in sorted(by_task.items())}
    rewards = [[a.reward for a in found] for _, found in sorted(by_task.items())]
    tasks, n = len(counts), sum(len(found) for found in rewards)
    rate = sum(c / of for c, of in counts.values()) / tasks if tasks else 0.0
    solved = sum(c > 0 for c, _ in counts.values())
    fewest = min((of for _, of in counts.values()), default=0)
    return ReportRow(
        domain,
        scaffold,
        model,
        tasks=tasks,
        attempts=n,
        masked=len(graded) - n,
        pass_at_1=rate,
        pass_at_1_interval=wilson(rate * n, n),
        pass_at_1_tasks_interval=wilson(rate * tasks, tasks),
        mean=sum(map(sum, rewards)) / n if n else 0.0,
        mean_interval=bootstrap(rewards, seed),
        best=solved / tasks if tasks else 0.0,
        best_interval=wilson(solved, tasks),
        all_passed=sum(c == of for c, of in counts.values()) / tasks if tasks else 0.0,
        pass_at_k=[sum(pass_at_k(of, c, k) for c, of in counts.values()) / tasks for k in range(1, fewest + 1)],
        pass_hat_k=[sum(pass_hat_k(of, c, k) for c, of in counts.values()) / tasks for k in range(1, fewest + 1)],
        flagged=sum(attempt.flagged for attempt in graded),
        cost=_cost(graded, prices),
        by_task=counts,
        benchmark=Benchmark(name=names[0], version=names[1] or None, split=names[2] or None) if names else None,
    )


def _cost(graded: Sequence[_Attempt], prices: tuple[float, float] | None) -> Cost:
    n = len(graded)
    prompt, sampled = sum(a.prompt_tokens for a in graded), sum(a.sampled_tokens for a in graded)
    dollars = None if prices is None else (prompt * prices[0] + sampled * prices[1]) / 1e6
    passes = sum(a.passed and not a.masked for a in graded)
    return Cost(
        prompt_tokens=prompt / n,
        sampled_tokens=sampled / n,
        calls=sum(a.calls for a in graded) / n,
        minutes=sum(a.seconds for a in graded) / n / 60,
        dollars=None if dollars is None else dollars / n,
        dollars_per_pass=None if dollars is None or not passes else dollars / passes,
    )


HEAD = (
    "benchmark", "domain", "scaffold", "model", "tasks", "attempts", "masked", "pass@1", "95 %", "mean", "95 %", "best",
    "95 %", "pass^k", "tokens", "minutes", "$",
)  # fmt: skip


def table(found: Sequence[ReportRow]) -> str:
    """The rows as a text table with aligned columns; tokens, minutes and dollars are of one attempt.

    Where no task names a benchmark there is no column for it.
    """
    cells: Sequence[tuple[str, ...]] = [HEAD] + [
        (
            row.benchmark_name or "-", row.domain or "-", row.scaffold, row.model or "-",
            str(row.tasks), str(row.attempts), str(row.masked),
            f"{row.pass_at_1:.3f}", interval(row.pass_at_1_interval), f"{row.mean:.3f}", interval(row.mean_interval),
            f"{row.best:.3f}", interval(row.best_interval), f"{row.all_passed:.3f}",
            short(row.cost.prompt_tokens + row.cost.sampled_tokens), f"{row.cost.minutes:.1f}", money(row.cost.dollars),
        )
        for row in found
    ]  # fmt: skip
    if not any(row.benchmark for row in found):
        cells = [line[1:] for line in cells]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)


def interval(bounds: tuple[float, float]) -> str:
    """Two bounds as text."""
    return f"{bounds[0]:.3f}–{bounds[1]:.3f}"


def short(number: float) -> str:
    """A count with three digits or so: 950, 12.3k, 1.20M."""
    for size, unit in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.0f}"


def money(dollars: float | None) -> str:
    """Dollars as text, "-" where no price is known."""
    return "-" if dollars is None else f"{dollars:.4f}" if dollars < 1 else f"{dollars:.2f}"
