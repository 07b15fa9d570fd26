"""Importance ratios π / π_old of a token, a turn or a sequence, and the range in which each is trusted.

All are one thing over different segments: s_k = exp(p_k · mean_{t∈T_k} [log π(y_t) − log π_old(y_t)]), where p_k is 1
for the geometric mean and |T_k| for the plain product. A term receives its segment's value in the form of GSPO-token,
s_{k,t} = sg[s_k] · (π(y_t) / sg[π(y_t)])^{p_k}, so that a weight of its own can be multiplied on: under one weight and
one scale a segment, value and gradient are those of the segment's formula.
"""

from __future__ import annotations

import torch
from torch import Tensor

from katcore.train.losses.inputs import LossInputs
from katcore.train.options import LossSettings, Segment

LOG_RATIO_BOUND = 20.0
"""The most that |log s_k| may be, in nats (ours).

A product over a long turn would overflow, and for a negative advantage nothing clips it from above.
"""


def token_ratio(inputs: LossInputs) -> Tensor:
    """r_t = π(y_t) / π_old(y_t), [M] with gradient."""
    return (inputs.logprob - inputs.old_logprob).exp()


def segment_ratio(inputs: LossInputs, segment: Tensor, product: bool = False) -> Tensor:
    """s_{k,t} of each term, [M] with gradient; `segment` [M] int64 from 0.

    The geometric mean and the token form are GSPO's (arXiv 2507.18071, § 4.1 and 4.3). All terms of a segment are in
    the mean, masked ones too. Summed in fp64: a clip range of 3e-4 is a few thousand roundings of fp32 wide.
    """
    log_ratio = (inputs.logprob - inputs.old_logprob).detach().double()  # [M], nats
    size = int(segment.max()) + 1 if len(segment) else 0
    count = torch.zeros(size, dtype=torch.float64, device=segment.device).index_add_(
        0, segment, torch.ones_like(log_ratio)
    )
    total = torch.zeros_like(count).index_add_(0, segment, log_ratio)  # [segments], as `count`
    power = count if product else torch.ones_like(count)
    exponent = (total / count.clamp(min=1) * power).clamp(-LOG_RATIO_BOUND, LOG_RATIO_BOUND)
    stopped = exponent.exp()[segment].to(inputs.logprob)  # sg[s_k] at each of its terms, [M]
    # The second factor is (π / sg[π])^p: value 1, gradient p · ∇log π.
    return stopped * (power[segment].to(inputs.logprob) * (inputs.logprob - inputs.logprob.detach())).exp()


def ratio_of(inputs: LossInputs, settings: LossSettings, segment: Segment) -> Tensor:
    """The ratio that the settings ask for, [M] with gradient. A sequence's is always the geometric mean."""
    if segment == "token":
        return token_ratio(inputs)
    product = segment == "turn" and settings.turn_ratio == "product"
    return segment_ratio(inputs, inputs.segments(segment), product)


def clip_range(settings: LossSettings, segment: Segment) -> tuple[float, float]:
    """(ε_l, ε_h): how far below and above 1 a ratio counts; the settings' own, else the usual one of its kind.

    0.2, 0.28 for tokens (DAPO, arXiv 2503.14476), 3e-4, 4e-4 for geometric means (GSPO), 0.2, 0.2 for products.
    """
    if segment == "token":
        low, high = 0.2, 0.28
    elif segment == "turn" and settings.turn_ratio == "product":
        low, high = 0.2, 0.2
    else:
        low, high = 3e-4, 4e-4
    return (
        low if settings.clip_low is None else settings.clip_low,
        high if settings.clip_high is None else settings.clip_high,
    )
