"""What to do with the step that an agent is about to take: keep it, take a reference's, or stop (method.md § 5.2, 5.3).

In: the path so far and the model's answer to it. Out: a signal. It is made for the place where answers pass by on their
way to the agent; it changes nothing itself. A replaced step is context, not a target: its node has no sampled tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from katcore.errors import InputError, UsageError
from katcore.references.actions import Action, Step, Steps
from katcore.references.alignment import DEFAULT, Costs, actions, first_row, next_row


@dataclass(frozen=True)
class Rules:
    """A step that adds more than `threshold` an action to the distance from the nearest reference deviates.

    `patience` deviations one after the other end the rollout, 0 never do; with `replace` the others are put right. At
    0.5 passes the same kind of tool on the same files with any arguments, and not another file, tool or action.
    """

    threshold: float
    patience: int
    replace: bool

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1 or self.patience < 0:
            raise UsageError("a threshold lies in [0, 1] and patience is not negative")

    @property
    def idle(self) -> bool:
        """Whether these rules let every step pass."""
        return not self.patience and not self.replace


@dataclass(frozen=True)
class Signal:
    """What to do with a step, and why. `reference`: number of the nearest one before it; `step`: its replacement."""

    decision: Literal["keep", "replace", "stop"]
    deviation: float
    streak: int
    """Number of deviating proposals in a row, this one included."""
    reference: int
    step: Step | None = None


class Corrector:
    """Follows one rollout beside its references. A row of the alignment is kept for each: a step costs O(Σ m)."""

    def __init__(self, references: Sequence[Steps], rules: Rules, costs: Costs = DEFAULT) -> None:
        if not references:
            raise InputError("without references there is nothing to correct by")
        self.references = references
        self.rules, self.costs = rules, costs
        self.streak = 0
        self._actions = [actions(reference) for reference in references]
        self._rows = [first_row(each) for each in self._actions]

    @property
    def distance(self) -> float:
        """Cost of turning the path into the nearest beginning of a reference; grows by at most 1 an action."""
        return min(map(min, self._rows))

    def follow(self, step: Step) -> None:
        """Advance the rows of all references by a step that was done, whoever chose it."""
        self._rows = self._after(step.actions)

    def offer(self, step: Step) -> Signal:
        """Judge a proposed step and follow what is done instead or as proposed; a message without action is kept."""
        before, reference = self.distance, self._nearest()
        rows = self._after(step.actions)
        deviation = (min(map(min, rows)) - before) / len(step.actions) if step.actions else 0.0
        if not step.actions or deviation <= self.rules.threshold:
            self.streak = 0 if step.actions else self.streak
            self._rows = rows
            return Signal("keep", deviation, self.streak, reference)
        self.streak += 1
        if 0 < self.rules.patience <= self.streak:
            return Signal("stop", deviation, self.streak, reference)
        instead = self._next_step(reference) if self.rules.replace else None
        if instead is None:  # the reference has come to its end, or nothing is to be replaced
            self._rows = rows
            return Signal("keep", deviation, self.streak, reference)
        self.follow(instead)
        return Signal("replace", deviation, self.streak, reference, instead)

    def _after(self, done: Iterable[Action]) -> list[list[float]]:
        rows = self._rows
        for action in done:
            rows = [next_row(row, action, other, self.costs) for row, other in zip(rows, self._actions)]
        return rows

    def _nearest(self) -> int:
        return min(range(len(self._rows)), key=lambda j: min(self._rows[j]))

    def _next_step(self, reference: int) -> Step | None:
        """The first step after the beginning that the path is nearest to; of equally near ones the shortest."""
        row, at = self._rows[reference], 0
        place = row.index(min(row))
        for step in self.references[reference]:
            if step.actions and at >= place:
                return step
            at += len(step.actions)
        return None


def correct(
    path: Iterable[Step],
    step: Step,
    references: Sequence[Steps],
    rules: Rules,
    streak: int = 0,
    costs: Costs = DEFAULT,
) -> Signal:
    """The signal for one step after a path, for who keeps no `Corrector`: `streak` is the last signal's."""
    corrector = Corrector(references, rules, costs)
    for done in path:
        corrector.follow(done)
    corrector.streak = streak
    return corrector.offer(step)
