"""What every loss takes and gives: one entry per term, the constants, one scalar and per-term metrics.

A term is a trained occurrence of a token in a sample. The model has run once per unique token and its log-probs were
gathered into the term table, so autograd's scatter-add into the unique tokens is the gradient scaler of tree training
and any loss, clipped or not, is exact (method.md § 6.5). No loss here knows of trees, packs or ranks. M terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from katcore.errors import InputError
from katcore.train.options import LossSettings, Segment


@dataclass(frozen=True)
class LossInputs:
    """The M terms of a whole step, or of any part of it when the loss couples no terms; every field is [M].

    Log-probs and entropies are in nats.
    `old_logprob` is the trainer's own at the step's start, `engine_logprob` the behaviour policy's; both, and those of
    teacher and reference, carry no gradient and are at the temperature of `logprob`. The scales are the coefficients
    that the step's reducer gives each term; they sum to what the reducer's mean says, whatever is masked later.
    """

    logprob: Tensor  # with gradient
    entropy: Tensor
    scale: Tensor  # of the policy-gradient stream, and of the others that have none of their own
    kl_scale: Tensor  # of the distillation stream
    rl_weight: Tensor
    ce_weight: Tensor
    kl_weight: Tensor
    advantage: Tensor
    old_logprob: Tensor
    engine_logprob: Tensor | None = None
    teacher_logprob: Tensor | None = None
    ref_logprob: Tensor | None = None
    segment_turn: Tensor | None = None  # int64 from 0, which (sample, turn) of the step
    segment_sample: Tensor | None = None  # int64 from 0, which sample of the step
    version_age: Tensor | None = None  # steps since the weights that sampled the token; NaN where nobody knows
    ce_scale: Tensor | None = None  # of the supervised stream; None: `scale`
    ref_scale: Tensor | None = None  # of the penalty for leaving the reference policy; None: `scale`

    def segments(self, segment: Segment) -> Tensor:
        """Which segment each term belongs to, [M] int64. InputError when the caller did not say."""
        ids = self.segment_turn if segment == "turn" else self.segment_sample
        if ids is None:
            raise InputError(f"the loss spans a {segment}, but the terms do not say which {segment} they belong to")
        return ids


@dataclass(frozen=True)
class LossOutputs:
    """`loss` is a scalar; `metrics` are values per term, of which `reduce_metrics` makes one number a name."""

    loss: Tensor
    metrics: dict[str, Tensor] = field(default_factory=dict)


Loss = Callable[[LossInputs, LossSettings], LossOutputs]
