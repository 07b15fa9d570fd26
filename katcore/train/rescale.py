"""Difficulty- and entropy-aware rescaling of advantages (KAT-Coder-V1 § 4.2, method.md § 7.2).

In: one number a sample, for all unmasked samples of a step: advantage, group, success, mean entropy. Out: advantages
that weigh hard tasks and uncertain samples more. It runs after the pass that gives the old log-probs and entropies, and
before the loss. Nothing here knows of packs. Q samples, G groups, M terms.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

LOWEST, HIGHEST = 0.2, 5.0
"""The range to which both factors are clamped (ours): a negative one would turn an advantage's sign."""


@dataclass(frozen=True)
class Rescaled:
    """The new advantages and the two factors that they were multiplied by, all [Q]."""

    advantage: Tensor
    difficulty_factor: Tensor
    entropy_factor: Tensor

    def metrics(self) -> dict[str, Tensor]:
        """Both factors of each sample [Q] by the names that `reduce_metrics` reads."""
        return {
            "rescale_difficulty": self.difficulty_factor,
            "rescale_difficulty_max": self.difficulty_factor,
            "rescale_entropy": self.entropy_factor,
            "rescale_entropy_max": self.entropy_factor,
        }


def rescaled(
    advantage: Tensor, group: Tensor, success: Tensor, entropy: Tensor, difficulty_weight: float, entropy_weight: float
) -> Rescaled:
    """A'_ij = α_i β_ij A_ij,  α_i = 1 + λ (D_i − mean D),  β_ij = 1 + μ (H_ij − mean_j H_ij).

    `advantage`, `success` in [0, 1] and `entropy` in nats are [Q]; `group` [Q] int64 from 0 says which task each sample
    is of. D_i = 1 − mean success of group i, its mean is over the G groups of the step, however many samples each has;
    λ is `difficulty_weight`, μ is `entropy_weight`. With both 0 the advantages come back as they were. A sample whose
    success is NaN, as text's beside attempts, is of no task: it counts in no mean, and both its factors are 1.
    """
    alpha, beta = torch.ones_like(advantage), torch.ones_like(advantage)
    known = ~success.isnan()
    if known.any():
        _, local = group[known].unique(return_inverse=True)
        alpha[known], beta[known] = _factors(local, success[known], entropy[known], difficulty_weight, entropy_weight)
    return Rescaled(advantage * alpha * beta, alpha, beta)


def _factors(
    group: Tensor, success: Tensor, entropy: Tensor, difficulty_weight: float, entropy_weight: float
) -> tuple[Tensor, Tensor]:
    """α and β of each sample, both [Q] and clamped; `group` counts from 0 and no number is left out."""
    difficulty = 1 - group_mean(success, group)  # [G]
    alpha = 1 + difficulty_weight * (difficulty - difficulty.mean())  # [G]; a group counts once, however large
    beta = 1 + entropy_weight * (entropy - group_mean(entropy, group)[group])
    return alpha[group].clamp(LOWEST, HIGHEST), beta.clamp(LOWEST, HIGHEST)


def sample_entropy(entropy: Tensor, sample: Tensor, samples: int) -> Tensor:
    """H of each sample in nats, [samples]: the mean over its own terms; `entropy` [M], `sample` [M] int64 from 0.

    Entropies of the pass that gave the old log-probs, or −log-probs of the engine at temperature 1, whose mean
    estimates the same.
    """
    return group_mean(entropy, sample, samples)


def group_mean(values: Tensor, group: Tensor, groups: int = 0) -> Tensor:
    """The mean of `values` [Q] over each group, [G]; 0 for a group without members. `groups` may raise G."""
    size = max(int(group.max()) + 1 if len(group) else 0, groups)
    total = values.new_zeros(size).index_add_(0, group, values)
    count = values.new_zeros(size).index_add_(0, group, torch.ones_like(values))
    return total / count.clamp(min=1)  # 0 / 1 for an empty group, not 0 / 0
