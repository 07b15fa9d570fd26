"""The clipped surrogate of PPO over any ratio: what GRPO and GSPO share."""

from __future__ import annotations

import torch
from torch import Tensor

from katcore.train.losses.inputs import LossInputs, LossOutputs
from katcore.train.losses.off_policy import correction
from katcore.train.losses.ratio import clip_range, ratio_of
from katcore.train.options import LossSettings, Segment


def clipped(inputs: LossInputs, settings: LossSettings, segment: Segment) -> LossOutputs:
    """L = −Σ_t scale_t · c_t · min(s_t A_t, clip(s_t, 1 − ε_l, 1 + ε_h) A_t),  A_t = w_t A.

    s_t is the ratio of the term's segment, c_t the off-policy weight, w_t = `rl_weight`. The weight is inside the
    minimum: with a baseline of its own a token's weight may be negative, and clipping depends on the sign of the
    product. `negative_weight` (ours) scales tokens with A_t < 0: pushing rare tokens down is most of a small policy's
    noise.
    """
    used = inputs.rl_weight != 0
    low, high = clip_range(settings, segment)  # ε_l, ε_h
    ratio = ratio_of(inputs, settings, segment)
    advantage = inputs.rl_weight * inputs.advantage
    up, down = advantage > 0, advantage < 0  # a weight of 0, or a group of equal rewards, is neither
    advantage = torch.where(down, settings.negative_weight * advantage, advantage)
    # The minimum ignores the clip where the ratio has moved against the advantage, so that this can still be undone.
    gain = torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)
    loss = -(inputs.scale * correction(inputs, settings, used).weight * gain).sum()
    return LossOutputs(loss, _metrics(ratio.detach(), used, up, down, 1 - low, 1 + high))


def _metrics(ratio: Tensor, used: Tensor, up: Tensor, down: Tensor, lowest: float, highest: float) -> dict[str, Tensor]:
    """Ratios of the used terms, and which are clipped: there the minimum takes the clamped side, of gradient 0."""
    return {
        "clip_high": ((ratio > highest) & up)[used].to(ratio),
        "clip_low": ((ratio < lowest) & down)[used].to(ratio),
        **dict.fromkeys(("ratio", "ratio_p01", "ratio_p50", "ratio_p99"), ratio[used]),
    }
