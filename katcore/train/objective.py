"""What is minimised: a loss by its name with the options chosen for it, as a trainer takes it."""

from __future__ import annotations

from dataclasses import dataclass

from katcore.errors import UsageError
from katcore.train.losses import OBJECTIVES, LossSettings
from katcore.train.mcla import Averaging
from katcore.train.options import ObjectiveOptions


@dataclass(frozen=True)
class TrainObjective:
    """A loss by name, with its options. UsageError for an unknown name, or options that do not fit the loss."""

    name: str
    options: ObjectiveOptions = ObjectiveOptions()

    def __post_init__(self) -> None:
        if self.name not in OBJECTIVES:
            raise UsageError(f"unknown objective {self.name!r}", hint=f"one of: {', '.join(OBJECTIVES)}")
        if self.options.router_loss and self.on_policy:
            raise UsageError(f"--router-loss is for supervised objectives, {self.name} is none: leave it out")

    @property
    def settings(self) -> LossSettings:
        """The options that the loss function itself takes."""
        return self.options.loss

    @property
    def reducer(self) -> str:
        """The name of the reducer: the one asked for, or that of the loss's published formula."""
        asked = self.options.reducer
        return OBJECTIVES[self.name].reducer(self.settings) if asked == "own" else asked

    @property
    def temperature(self) -> float:
        """The temperature at which the tokens were sampled, and at which all log-probs are compared."""
        return self.options.temperature

    @property
    def averaging(self) -> Averaging:
        """How many passes of log-probs are averaged (MCLA); 1: off."""
        return Averaging(self.options.passes)

    @property
    def on_policy(self) -> bool:
        """Whether it learns from what an engine sampled, so that each such token needs the engine's log-prob."""
        return OBJECTIVES[self.name].weight != "ce_weight"

    @property
    def by_objective(self) -> bool:
        """Whether packs made for several objectives make one step."""
        return self.name == "mixed"

    @property
    def coupled(self) -> bool:
        """Whether a token's gradient depends on other tokens' log-probs."""
        return OBJECTIVES[self.name].coupled(self.settings)

    @property
    def scored(self) -> bool:
        """Whether a step begins with a pass without gradient."""
        return self.coupled or self.options.passes > 1 or self.rescaled

    @property
    def rescaled(self) -> bool:
        """Whether advantages are rescaled by difficulty or entropy (method.md § 7.2)."""
        return bool(self.options.difficulty_weight or self.options.entropy_weight)
