"""The best expert for each task, from verdicts (method.md § 8).

In: graded trajectories of several experts on the same tasks. Out: one choice a task, in the order of task ids, the
same whatever the order of the input. Masked attempts say nothing and are left out. Nothing is run here; choose on
tasks that nobody is evaluated on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from katcore.errors import InputError
from katcore.records import Trajectory, Verdict


class Candidate(Struct, kw_only=True):
    """One expert's result on one task."""

    reward: float
    pass_rate: float
    n: int


class Choice(Struct, kw_only=True):
    """A task's teacher; `candidates` are all experts that were tried, by name."""

    task_id: str
    expert: str
    pass_rate: float
    n: int
    candidates: dict[str, Candidate]


def choose(attempts: Iterable[tuple[str, Trajectory]], min_samples: int = 1) -> Iterator[Choice]:
    """The expert with the highest mean reward on each task; a tie goes to the first by name.

    `attempts` are (expert, trajectory). Experts with fewer than `min_samples` unmasked attempts on a task are listed
    and not chosen; a task that nobody qualifies for has no line. InputError for a trajectory without a verdict.
    """
    table: dict[str, dict[str, list[Verdict]]] = {}
    for expert, trajectory in attempts:
        if trajectory.verdict is None:
            raise InputError(f"trajectory {trajectory.id} has no verdict", hint="kat-verify grades trajectories")
        seen = table.setdefault(trajectory.task_id, {}).setdefault(expert, [])
        if not trajectory.verdict.masked:
            seen.append(trajectory.verdict)
    for task_id, experts in sorted(table.items()):
        found = {name: _candidate(verdicts) for name, verdicts in sorted(experts.items())}
        able = [name for name, candidate in found.items() if candidate.n >= max(min_samples, 1)]
        if able:
            best = max(able, key=lambda name: found[name].reward)  # max keeps the first of equals
            yield Choice(
                task_id=task_id, expert=best, pass_rate=found[best].pass_rate, n=found[best].n, candidates=found
            )


def _candidate(verdicts: list[Verdict]) -> Candidate:
    n = len(verdicts)
    rewards = sorted(verdict.reward for verdict in verdicts)  # so that the sum's rounding has one order
    return Candidate(
        reward=sum(rewards) / n if n else 0.0, pass_rate=sum(v.passed for v in verdicts) / n if n else 0.0, n=n
    )


def read_choices(path: Path) -> dict[str, str]:
    """Task id → expert, from a file that `kat-distill choose` wrote."""
    choices = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            choice = msgspec.json.decode(line, type=Choice)
        except msgspec.DecodeError as error:
            raise InputError(f"{path}: line {number}: not a choice of an expert ({error})") from error
        choices[choice.task_id] = choice.expert
    return choices
