"""Weights for tokens that the engine's policy sampled and the trainer's policy learns from.

In: the trainer's log-probs at the step's start, the engine's, the age of its weights. Out: one weight a term without
gradient. Masked tokens keep their place in every denominator: the scales are fixed before anything is masked.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from katcore.errors import InputError
from katcore.train.losses.inputs import LossInputs
from katcore.train.options import LossSettings


@dataclass(frozen=True)
class Correction:
    """`weight` [M] >= 0, without gradient, for each term of a stream that estimates an expectation under π."""

    weight: Tensor
    metrics: dict[str, Tensor]


def correction(inputs: LossInputs, settings: LossSettings, used: Tensor) -> Correction:
    """The product of what `off_policy` and `max_staleness` ask for; 1 at terms that are not `used` ([M] bool)."""
    weight = torch.ones_like(inputs.old_logprob)
    metrics: dict[str, Tensor] = {}
    if settings.off_policy != "none":
        if inputs.engine_logprob is None:
            raise InputError(f"{settings.off_policy} needs the engine's log-probs, and these packs carry none")
        ratio = (inputs.old_logprob - inputs.engine_logprob)[used].exp()
        weight[used], name, touched = (
            icepop(ratio, settings) if settings.off_policy == "icepop" else tis(ratio, settings)
        )
        metrics[name] = touched
    if settings.max_staleness is not None:
        if inputs.version_age is None:
            raise InputError("a limit on staleness needs the tokens' weight versions, and these packs carry none")
        stale = inputs.version_age[used] > settings.max_staleness
        weight[used] = weight[used].masked_fill(stale, 0.0)
        metrics["staleness_masked"] = stale.to(weight)
    return Correction(weight, metrics)


def icepop(ratio: Tensor, settings: LossSettings) -> tuple[Tensor, str, Tensor]:
    """k_t where k_t ∈ [α, β], else 0,  k_t = π_train,old(y_t) / π_infer(y_t)  (IcePop, Ring-1T; method.md § 7.5)."""
    outside = (ratio < settings.icepop_low) | (ratio > settings.icepop_high)
    return ratio.masked_fill(outside, 0.0), "icepop_masked", outside.to(ratio)


def tis(ratio: Tensor, settings: LossSettings) -> tuple[Tensor, str, Tensor]:
    """min(k_t, C): truncated importance sampling; bounded variance for a bias at the tokens above C."""
    return ratio.clamp(max=settings.tis_clip), "tis_truncated", (ratio > settings.tis_clip).to(ratio)


def engine_metrics(inputs: LossInputs, used: Tensor) -> dict[str, Tensor]:
    """How far the engine that sampled is from the trainer that learns, over the `used` terms ([M] bool).

    `engine_kl` is the k3 estimate of KL(engine ‖ trainer) in nats, `engine_ratio` is π_old / π_infer.
    """
    if inputs.engine_logprob is None:
        return {}
    log_ratio = (inputs.old_logprob - inputs.engine_logprob)[used]
    ratio = log_ratio.exp()
    names = ("engine_ratio", "engine_ratio_max", "engine_ratio_p01", "engine_ratio_p99")
    # The engine drew these tokens, so k3 takes d = log π_infer − log π_old = −log_ratio: e^(−d) − 1 + d.
    return {"engine_kl": ratio - 1 - log_ratio, **dict.fromkeys(names, ratio)}
