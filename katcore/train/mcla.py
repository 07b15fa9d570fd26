"""Monte-Carlo log-probability averaging (KAT-Coder-V2 eq. 8-11, method.md § 7.4).

The routing of a mixture of experts makes log-probs noisy, and the noise stands in the exponent of every importance
weight. Averaging K passes of the same weights over the same tokens lowers its variance to σ²/K, if both policies are
averaged. The passes must differ in their numerics (order of siblings, composition of packs, backend): else they are
copies, which the second pass shows, and the rest is not run. In: a callable that makes a pass. Out: averaged log-probs
and what they cost. It runs no model itself.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from katcore.errors import UsageError
from katcore.model.tree import Forest


@dataclass(frozen=True)
class Averaging:
    """How often to average: `passes` is K; a σ² of at most `least_variance` (nats²) ends it after the second pass."""

    passes: int = 8
    least_variance: float = 0.0

    def __post_init__(self) -> None:
        if self.passes < 1:
            raise UsageError(f"{self.passes} passes are none", hint="1 leaves averaging off")


@dataclass(frozen=True)
class Averaged:
    """Log-probs [M] without gradient, and how they came to be.

    `passes` is how many were run, `variance` σ² of one pass in nats² (None after a single one), `stopped` whether the
    passes were copies; `seconds` is the time of all passes, `first_seconds` that of the first.
    """

    logprob: Tensor
    passes: int
    variance: float | None
    stopped: bool
    seconds: float
    first_seconds: float

    @property
    def remaining_variance(self) -> float | None:
        """σ²/K in nats²: what is left of the noise in the mean."""
        return None if self.variance is None else self.variance / self.passes

    def metrics(self) -> dict[str, float]:
        """Numbers for the step's report; `mcla_cost` is the time of all passes over that of one."""
        numbers = {"mcla_passes": float(self.passes), "mcla_cost": self.seconds / max(self.first_seconds, 1e-9)}
        if self.variance is not None and self.remaining_variance is not None:
            numbers |= {"mcla_variance": self.variance, "mcla_remaining_variance": self.remaining_variance}
        return numbers


def averaged(run: Callable[[int], Tensor], settings: Averaging) -> Averaged:
    """log π̄ = (1/K) Σ_k log π^(k) over the passes `run(0)` ... `run(K − 1)`, each [M] in the same order of terms.

    After the second pass σ² is estimated by the mean of (log π^(2) − log π^(1))² / 2. If that is no more than
    `least_variance`, the first pass is returned as it is: its passes are copies, and more of them cost time alone.
    """
    started = time.monotonic()
    first = run(0).detach()
    first_seconds = time.monotonic() - started
    mean, variance, done = first.double(), None, 1
    for k in range(1, settings.passes):
        logprob = run(k).detach()
        done += 1
        if k == 1:
            # / 2: the difference of two independent passes has variance 2σ².
            variance = float((logprob.double() - first.double()).square().mean() / 2) if len(first) else 0.0
            if variance <= settings.least_variance:
                return Averaged(first, done, variance, True, time.monotonic() - started, first_seconds)
        mean = mean + (logprob.double() - mean) / done  # running mean: K passes need not be held
    return Averaged(mean.to(first), done, variance, False, time.monotonic() - started, first_seconds)


def anchored(logprob: Tensor, mean: Tensor) -> Tensor:
    """lp = lp_1 + sg[mean_K − lp_1]: the value of the mean with the gradient of the one pass that has one; both [M]."""
    return logprob + (mean - logprob).detach()


def shuffled_siblings(tree: Forest, seed: int) -> tuple[Forest, Tensor]:
    """The same forest with roots and siblings in another order, and where each token went: `place` [N] int64.

    Every path stays what it was, so log-probs differ by rounding and routing alone: one way to make passes differ.
    """
    rng = random.Random(seed)
    children: dict[int, list[int]] = {}
    for child in _side_branches(tree):
        children.setdefault(int(tree.parent[child]), []).append(child)
    shift = torch.zeros(len(tree) + 1, dtype=torch.int64)  # of whole subtrees: starts here, taken back at their end
    for parent, siblings in children.items():
        at = parent + 1
        for child in rng.sample(siblings, len(siblings)):
            size = int(tree.end[child]) - child
            shift[child] += at - child
            shift[child + size] -= at - child
            at += size
    place = torch.arange(len(tree)) + shift[:-1].cumsum(0)
    return _moved(tree, place), place


def _side_branches(tree: Forest) -> list[int]:
    """All tokens that have a sibling, and all roots, in order."""
    parent = tree.parent.cpu()
    count = torch.zeros(len(tree) + 1, dtype=torch.int64).index_add_(0, parent + 1, torch.ones_like(parent))
    found: list[int] = (count[parent + 1] > 1).nonzero().flatten().tolist()
    return found


def _moved(tree: Forest, place: Tensor) -> Forest:
    """The forest with token i at `place[i]` [N]; parents and subtree ends are moved along."""
    source = torch.empty_like(place).scatter_(0, place, torch.arange(len(place)))
    parent = tree.parent[source]
    return Forest(
        tokens=tree.tokens[source],
        parent=torch.where(parent < 0, parent, place[parent.clamp(min=0)]),
        depth=tree.depth[source],
        end=(tree.end - torch.arange(len(tree)) + place)[source],  # a subtree keeps its size, end − i
    )
