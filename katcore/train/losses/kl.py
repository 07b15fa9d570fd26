"""The penalty for leaving a reference policy: single-sample estimators of KL(π ‖ π_ref) by name.

In: log-probs [M] of the policy and of the reference, in nats. Out: one loss and the metric `ref_kl`. M terms.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from katcore.errors import InputError
from katcore.train.losses.inputs import LossInputs, LossOutputs
from katcore.train.losses.off_policy import correction
from katcore.train.options import LossSettings


def kl_term(logprob: Tensor, reference: Tensor, estimator: Literal["k1", "k2", "k3"]) -> Tensor:
    """The penalty k(t) of each term in nats, [M] with gradient; d = log π(y_t) − log π_ref(y_t).

    Source: J. Schulman, Approximating KL Divergence (2020).
    k1: sg[d] · π/sg[π], the estimate as a cost of policy gradient: differentiating d itself would give a gradient that
    does not depend on the reference. k2: d²/2, of the same gradient, d · ∇log π. k3: exp(−d) − 1 + d, GRPO's: never
    negative, of gradient (1 − exp(−d)) · ∇log π, bounded where π is far above the reference.
    """
    gap = logprob - reference  # d [M]
    if estimator == "k1":
        return gap.detach() * (logprob - logprob.detach()).exp()  # π / sg[π]: value 1, gradient ∇log π
    if estimator == "k2":
        return gap.square() / 2
    return (-gap).exp() - 1 + gap


def ref_kl(inputs: LossInputs, settings: LossSettings) -> LossOutputs:
    """L_ref · kl_ref,  L_ref = Σ_t scale_t · c_t · k(t) over the terms of the on-policy streams, each counting 1.

    The off-policy weight c_t is on it too: it is an expectation under π. InputError when asked for without a reference.
    """
    if settings.kl_ref and inputs.ref_logprob is None:
        raise InputError("these packs carry no log-probs of a reference policy")
    used = (inputs.rl_weight != 0) | (inputs.kl_weight != 0)
    if inputs.ref_logprob is None or not bool(used.any()):
        return LossOutputs(torch.zeros_like(inputs.logprob).sum())
    reference, logprob = inputs.ref_logprob[used], inputs.logprob[used]
    metrics = {"ref_kl": kl_term(logprob.detach(), reference, "k3")}  # k3 whichever is trained: it is never negative
    if not settings.kl_ref:
        return LossOutputs(torch.zeros_like(inputs.logprob).sum(), metrics)
    scale = inputs.scale if inputs.ref_scale is None else inputs.ref_scale
    weight = (scale * correction(inputs, settings, used).weight)[used]
    return LossOutputs(settings.kl_ref * (weight * kl_term(logprob, reference, settings.kl_estimator)).sum(), metrics)
