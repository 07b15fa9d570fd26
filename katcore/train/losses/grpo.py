"""GRPO: the clipped surrogate with a ratio for each token."""

from __future__ import annotations

from katcore.train.losses.clipped import clipped
from katcore.train.losses.inputs import LossInputs, LossOutputs
from katcore.train.losses.kl import ref_kl
from katcore.train.losses.metrics import combined, common_metrics
from katcore.train.options import LossSettings


def grpo(inputs: LossInputs, settings: LossSettings) -> LossOutputs:
    """L = −Σ_t scale_t · c_t · min(r_t A_t, clip(r_t, 1 − ε_l, 1 + ε_h) A_t) + kl_ref · L_ref.

    r_t = π(y_t) / π_old(y_t). GRPO (arXiv 2402.03300) with DAPO's clip-higher (arXiv 2503.14476). No term depends on
    another.
    """
    streams = (clipped(inputs, settings, "token"), ref_kl(inputs, settings))
    return combined(*streams, common_metrics(inputs, settings, inputs.rl_weight != 0))
