"""Tables over graded trajectories: domain x scaffold x model with pass@1, mean, best and 95 % intervals.

In: trajectories with verdicts. Out: rows, as a table for people or as JSON. Masked attempts say nothing about the
policy: they are counted and left out of every rate.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

from katcore.records import Trajectory

Z95 = 1.959963984540054
"""The 97.5 % quantile of the standard normal distribution."""


def wilson(successes: float, n: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval for a proportion (E. B. Wilson 1927); (0, 1) when nothing was seen."""
    if n == 0:
        return 0.0, 1.0
    p, zz = successes / n, z * z
    middle = (p + zz / (2 * n)) / (1 + zz / n)
    half = z / (1 + zz / n) * sqrt(p * (1 - p) / n + zz / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True)
class Row:
    """One line of a report.

    `pass_at_1`: the mean over tasks of the share of attempts that passed; its interval is Wilson's over `attempts`.
    `best`: the share of tasks that some attempt passed; its interval is Wilson's over `tasks`.
    `all_passed`: the share of tasks that every attempt passed (pass^k for k attempts a task). `mean`: of rewards.
    """

    domain: str
    scaffold: str
    model: str
    tasks: int
    attempts: int
    masked: int
    pass_at_1: float
    pass_at_1_interval: tuple[float, float]
    mean: float
    best: float
    best_interval: tuple[float, float]
    all_passed: float


def rows(trajectories: Iterable[Trajectory]) -> list[Row]:
    """One row for each domain, scaffold and model, sorted; only attempts with a verdict count."""
    groups: dict[tuple[str, str, str], list[Trajectory]] = defaultdict(list)
    for t in trajectories:
        if t.verdict is not None:
            groups[t.domain, f"{t.scaffold.name} {t.scaffold.version}".strip(), t.model].append(t)
    return [_row(key, groups[key]) for key in sorted(groups)]


def _row(key: tuple[str, str, str], graded: Sequence[Trajectory]) -> Row:
    verdicts = [(t.task_id, t.verdict) for t in graded if t.verdict is not None]
    by_task: dict[str, list[bool]] = defaultdict(list)
    rewards = []
    for task_id, verdict in verdicts:
        if not verdict.masked:
            by_task[task_id].append(verdict.passed)
            rewards.append(verdict.reward)
    tasks, n = len(by_task), len(rewards)
    rate = sum(sum(passed) / len(passed) for passed in by_task.values()) / tasks if tasks else 0.0
    solved = sum(any(passed) for passed in by_task.values())
    return Row(
        *key,
        tasks=tasks,
        attempts=n,
        masked=len(verdicts) - n,
        pass_at_1=rate,
        pass_at_1_interval=wilson(rate * n, n),
        mean=sum(rewards) / n if n else 0.0,
        best=solved / tasks if tasks else 0.0,
        best_interval=wilson(solved, tasks),
        all_passed=sum(all(passed) for passed in by_task.values()) / tasks if tasks else 0.0,
    )


HEAD = (
    "domain",
    "scaffold",
    "model",
    "tasks",
    "attempts",
    "masked",
    "pass@1",
    "95 %",
    "mean",
    "best",
    "95 %",
    "pass^k",
)


def table(found: Sequence[Row]) -> str:
    """The rows as a text table with aligned columns."""
    cells = [HEAD] + [
        (
            row.domain or "-", row.scaffold, row.model or "-", str(row.tasks), str(row.attempts), str(row.masked),
            f"{row.pass_at_1:.3f}", _interval(row.pass_at_1_interval), f"{row.mean:.3f}", f"{row.best:.3f}",
            _interval(row.best_interval), f"{row.all_passed:.3f}",
        )
        for row in found
    ]  # fmt: skip
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in cells)


def _interval(bounds: tuple[float, float]) -> str:
    return f"{bounds[0]:.3f}–{bounds[1]:.3f}"
