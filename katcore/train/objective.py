"""What is minimised, and how the weights move: the settings of a trainer as values."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from katcore.errors import UsageError
from katcore.train.losses import OBJECTIVES, LossSettings
from katcore.train.mcla import Averaging

SCHEDULES = ("constant", "linear", "cosine", "wsd")


@dataclass(frozen=True)
class TrainObjective:
    """One loss with its settings. `temperature`: at which the tokens were sampled, and all log-probs are compared."""

    name: str
    reducer: str = ""
    """Empty: the one of the loss's published formula."""
    constant: int = 1024
    temperature: float = 1.0
    updates: int = 1
    settings: LossSettings = field(default_factory=LossSettings)
    averaging: Averaging = field(default_factory=lambda: Averaging(passes=1))
    """Passes whose log-probs are averaged (MCLA); 1: off."""
    difficulty_weight: float = 0.0
    """λ of method.md § 7.2: how much more a hard task's advantages count."""
    entropy_weight: float = 0.0
    """μ of method.md § 7.2: how much more an uncertain sample's do."""
    router_loss: float = 0.0
    """Coefficient of a mixture of experts' load-balancing loss (method.md § 7.5); none in RL."""

    def __post_init__(self) -> None:
        if self.name not in OBJECTIVES:
            raise UsageError(f"unknown objective {self.name!r}", hint=f"one of: {', '.join(OBJECTIVES)}")
        if not self.reducer:
            object.__setattr__(self, "reducer", OBJECTIVES[self.name].reducer(self.settings))
        if self.router_loss and self.on_policy:
            raise UsageError(f"--router-loss is for supervised objectives, {self.name} is none: leave it out")

    @property
    def on_policy(self) -> bool:
        """Whether it learns from what an engine sampled, so that every token needs the engine's log-prob."""
        return OBJECTIVES[self.name].weight != "ce_weight"

    @property
    def coupled(self) -> bool:
        """Whether a token's gradient depends on other tokens' log-probs."""
        return OBJECTIVES[self.name].coupled(self.settings)

    @property
    def scored(self) -> bool:
        """Whether a step begins with a pass without gradient."""
        return self.coupled or self.averaging.passes > 1 or bool(self.difficulty_weight or self.entropy_weight)


@dataclass(frozen=True)
class Optimizer:
    """AdamW, gradient clipping and the learning rate's course, which needs `total` steps unless it is constant."""

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    grad_clip: float = 1.0
    warmup: int = 0
    schedule: str = "constant"
    total: int = 0
    decay: float = 0.2
    """`wsd`: the share of the steps, at their end, over which the rate falls to 0."""

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise UsageError(f"unknown schedule {self.schedule!r}", hint=f"one of: {', '.join(SCHEDULES)}")
        if self.schedule != "constant" and not self.total:
            raise UsageError(f"a {self.schedule} schedule needs to know where it ends", hint="add --max-steps N")

    def lr_at(self, step: int) -> float:
        """Learning rate of the step after `step` finished ones: linear warm-up, then the schedule."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.lr
        done = min((step - self.warmup) / max(self.total - self.warmup, 1), 1.0)
        if self.schedule == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * done))
        if self.schedule == "linear":
            return self.lr * (1 - done)
        return self.lr * min(1.0, (1 - done) / self.decay)  # wsd: warm up, stay, decay
