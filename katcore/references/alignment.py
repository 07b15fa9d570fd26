"""How far what an agent did is from several ground truths: an edit distance over actions (method.md § 5.1).

In: steps. Out: a discrepancy d in [0, 1] to each reference, and the relative reward 1 − min_j d. Rewards of this kind
are compared inside a task's group, never across tasks: how far apart two good solutions are differs from task to task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from katcore.errors import InputError
from katcore.records import Trajectory
from katcore.references.actions import Action, Steps, steps_of

GAP = 1.0
"""The cost of an action that has no counterpart in the other path."""


@dataclass(frozen=True)
class Costs:
    """What it costs to put one action in another's place: shares of another tool, other files, other arguments.

    Together 1 at most, so that a replacement never costs more than a gap. Where neither action names a file the
    arguments bear that share too: all that tells `pytest` from `pip install` is what they say.
    """

    tool: float = 0.4
    files: float = 0.3
    arguments: float = 0.3

    def __post_init__(self) -> None:
        if min(self.tool, self.files, self.arguments) < 0 or self.tool + self.files + self.arguments > 1 + 1e-12:
            raise InputError("the costs of a replacement must be shares of 1")


DEFAULT = Costs()


@dataclass(frozen=True)
class Nearest:
    """The reference that a path is closest to, the first of equals."""

    index: int
    discrepancy: float


def difference(one: Action, other: Action, costs: Costs = DEFAULT) -> float:
    """How far apart two actions are, δ in [0, 1]; 0 for equal ones (method.md § 5.1).

    Files are compared by Jaccard's distance, words by its form for multisets.
    """
    files, arguments = costs.files, costs.arguments
    if not one.files and not other.files:
        files, arguments = 0.0, files + arguments
    either = one.files | other.files
    apart = 1 - len(one.files & other.files) / len(either) if either else 0.0
    return costs.tool * (one.tool != other.tool) + files * apart + arguments * _words_apart(one.words, other.words)


def _words_apart(one: Counter[str], other: Counter[str]) -> float:
    """The distance of two multisets of words, in [0, 1]: 1 − Σ min / Σ max of the words' counts."""
    small, large = (one, other) if len(one) <= len(other) else (other, one)
    both = sum(min(count, large[word]) for word, count in small.items())
    either = one.total() + other.total() - both
    return 1 - both / either if either else 0.0


def actions(path: Steps) -> list[Action]:
    """All actions of a path, one after the other."""
    return [action for step in path for action in step.actions]


def first_row(reference: Sequence[Action]) -> list[float]:
    """The dynamic program's first row, D[0, m] = m · GAP for m = 0 … M: nothing done of the reference's M actions."""
    return [GAP * m for m in range(len(reference) + 1)]


def next_row(row: Sequence[float], action: Action, reference: Sequence[Action], costs: Costs = DEFAULT) -> list[float]:
    """The dynamic program's next row: D[n, m] is the cost of turning n actions into the reference's first m.

    D[n, m] = min(D[n−1, m] + GAP, D[n, m−1] + GAP, D[n−1, m−1] + difference)  (Wagner and Fischer 1974).
    """
    new = [row[0] + GAP]
    for m, other in enumerate(reference, 1):
        new.append(min(row[m] + GAP, new[-1] + GAP, row[m - 1] + difference(action, other, costs)))
    return new


def discrepancy(own: Sequence[Action], reference: Sequence[Action], costs: Costs = DEFAULT) -> float:
    """d in [0, 1]: the cost of the cheapest alignment over the longer one's actions, which no alignment exceeds.

    0 for the same actions in the same order, 1 when only one did anything. O(n · m) differences.
    """
    row = first_row(reference)
    for action in own:
        row = next_row(row, action, reference, costs)
    longer = max(len(own), len(reference))
    return row[-1] / longer if longer else 0.0


def nearest(own: Sequence[Action], references: Iterable[Steps], costs: Costs = DEFAULT) -> Nearest:
    """The reference with the least discrepancy. InputError without a reference."""
    distances = [discrepancy(own, actions(reference), costs) for reference in references]
    if not distances:
        raise InputError("without references there is no relative reward")
    least = min(distances)
    return Nearest(distances.index(least), least)


def relative_reward(
    trajectory: Trajectory, references: Sequence[Steps], workdir: str = "/testbed", costs: Costs = DEFAULT
) -> float:
    """The reward of an attempt o by its references g_j: 1 − min_j d(o, g_j), in [0, 1]. InputError without any."""
    return 1 - nearest(actions(steps_of(trajectory, workdir)), references, costs).discrepancy
