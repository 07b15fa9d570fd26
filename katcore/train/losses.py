"""Losses over the term table: log-probs gathered into path space in, one scalar and per-term metrics out.

The model has run once per unique token; every tensor here has one entry per term (a trained occurrence of a token in
a sample), so that any loss, clipped or not, is exact: autograd's scatter-add into the unique tokens is the gradient
scaler of tree training. A loss is Σ scale · weight · per-term loss, the scale being the step's reducer. M terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from katcore.errors import InputError


@dataclass(frozen=True)
class LossInputs:
    """All [M]. `old_logprob` is the trainer's own at the step's start, `engine_logprob` the behaviour policy's."""

    logprob: Tensor  # with gradient
    entropy: Tensor
    scale: Tensor
    kl_scale: Tensor
    rl_weight: Tensor
    ce_weight: Tensor
    kl_weight: Tensor
    advantage: Tensor
    old_logprob: Tensor
    engine_logprob: Tensor | None = None
    teacher_logprob: Tensor | None = None


@dataclass(frozen=True)
class LossOutputs:
    """`loss` is a scalar; `metrics` are per-term values that the trainer averages over the step (`_max`: takes the
    largest of)."""

    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Settings:
    """The constants of the losses. `opd_weight` is METHOD's c times the stream's weight: only their product matters."""

    clip_low: float = 0.2
    clip_high: float = 0.28
    opd_weight: float = 1.0
    negative_weight: float = 1.0


def sft(inputs: LossInputs, settings: Settings) -> LossOutputs:
    """L = Σ_t scale_t · w_t · (−log π(y_t)).

    `em-sft` is the same sum: its weights are 0 on the tokens of failed tool calls (KAT-Coder-V1 § 2.1).
    """
    used = inputs.ce_weight != 0
    nll = -inputs.logprob
    loss = (inputs.scale * inputs.ce_weight * nll).sum()
    return LossOutputs(loss, {"nll": nll.detach()[used], "entropy": inputs.entropy[used]})


def grpo(inputs: LossInputs, settings: Settings) -> LossOutputs:
    """L = −Σ_t scale_t · min(r_t A_t, clip(r_t, 1 − ε_l, 1 + ε_h) A_t),  r_t = π(y_t) / π_old(y_t),  A_t = w_t A.

    GRPO (arXiv 2402.03300) with DAPO's clip-higher (arXiv 2503.14476); no KL term. The weight is inside the minimum:
    with a baseline of its own a token's weight may be negative, and clipping depends on the sign of the product.
    `negative_weight` (ours) scales tokens with A_t < 0: pushing rare tokens down is most of a small policy's noise.
    """
    used = inputs.rl_weight != 0
    log_ratio = inputs.logprob - inputs.old_logprob
    ratio = log_ratio.exp()
    clipped = ratio.clamp(1 - settings.clip_low, 1 + settings.clip_high)
    advantage = inputs.rl_weight * inputs.advantage
    up, down = advantage > 0, advantage < 0
    advantage = torch.where(down, settings.negative_weight * advantage, advantage)
    gain = torch.minimum(ratio * advantage, clipped * advantage)
    loss = -(inputs.scale * gain).sum()
    metrics = {
        "entropy": inputs.entropy[used],
        "clip_high": ((ratio > 1 + settings.clip_high) & up)[used].float(),
        "clip_low": ((ratio < 1 - settings.clip_low) & down)[used].float(),
        "ratio": ratio.detach()[used],
        **engine_metrics(inputs, used),
    }
    return LossOutputs(loss, metrics)


def opd(inputs: LossInputs, settings: Settings) -> LossOutputs:
    """L = L_grpo − c · Σ_t kl_scale_t · w_t · r_t · A_t,  A_t = −sg[log π(y_t) − log π_T(y_t)].

    On-policy distillation as a stop-gradient per-token advantage (METHOD § 8): differentiating the estimate
    log π − log π_T itself would give a gradient that does not depend on the teacher. The RL stream joins in where the
    pack carries advantages.
    """
    if inputs.teacher_logprob is None:
        raise InputError("these packs carry no teacher log-probs", hint="kat-distill score adds them")
    used = inputs.kl_weight != 0
    gap = inputs.logprob.detach() - inputs.teacher_logprob
    ratio = (inputs.logprob - inputs.old_logprob).exp()
    loss = settings.opd_weight * (inputs.kl_scale * inputs.kl_weight * ratio * gap).sum()
    metrics = {"entropy": inputs.entropy[used], "teacher_gap": gap[used], **engine_metrics(inputs, used)}
    if bool((inputs.rl_weight * inputs.advantage != 0).any()):
        rl = grpo(inputs, settings)
        loss = loss + rl.loss
        metrics = rl.metrics | metrics
    return LossOutputs(loss, metrics)


def engine_metrics(inputs: LossInputs, used: Tensor) -> dict[str, Tensor]:
    """How far the engine that sampled is from the trainer that learns: k3's KL(engine ‖ trainer), and the ratio."""
    if inputs.engine_logprob is None:
        return {}
    log_ratio = (inputs.old_logprob - inputs.engine_logprob)[used]
    ratio = log_ratio.exp()
    return {"engine_kl": ratio - 1 - log_ratio, "engine_ratio": ratio, "engine_ratio_max": ratio}


Loss = Callable[[LossInputs, Settings], LossOutputs]

OBJECTIVES: dict[str, tuple[Loss, str]] = {
    "sft": (sft, "ce_weight"),
    "em-sft": (sft, "ce_weight"),
    "grpo": (grpo, "rl_weight"),
    "opd": (opd, "kl_weight"),
}
"""Name → loss, and the weight without which it has nothing to train on."""
