"""Losses that couple terms of several packs or partitions: a pass for the coefficients, then a linear loss.

A turn's or a sequence's ratio needs log-probs that lie in other packs. A forward without gradient gives those of the
whole step; the loss on them gives w_t = ∂L/∂log π(y_t); each pack then runs with Σ_t w_t log π(y_t), which has the same
gradient (method.md § 6.5).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from katcore.train.losses.inputs import Loss, LossInputs, LossOutputs
from katcore.train.options import LossSettings


@dataclass(frozen=True)
class Linear:
    """A step's loss as a linear one: `outputs` without gradient; `weight` [M] = ∂L/∂log π(y_t), a constant."""

    outputs: LossOutputs
    weight: Tensor


def linearise(loss: Loss, inputs: LossInputs, settings: LossSettings) -> Linear:
    """The loss of a whole step at its detached log-probs, and the coefficient ∂L/∂log π(y_t) of each term.

    On several ranks the inputs must hold at least every term of each segment that they touch: the scales are already
    those of the whole step.
    """
    leaf = inputs.logprob.detach().requires_grad_()
    out = loss(replace(inputs, logprob=leaf), settings)
    (weight,) = torch.autograd.grad(out.loss, leaf, allow_unused=True)  # unused: no term of the step has a weight
    metrics = {name: values.detach() for name, values in out.metrics.items()}
    return Linear(LossOutputs(out.loss.detach(), metrics), torch.zeros_like(leaf) if weight is None else weight)


def linear_loss(logprob: Tensor, weight: Tensor) -> Tensor:
    """Σ_t w_t log π(y_t), a scalar, over any part of the step's terms; logprob and weight [M].

    Its value says nothing; its gradient is the share that these terms have in the gradient of the step's loss.

    Log-probs of unique tokens will do as well, with the weights of each one's terms added up (`scatter`).
    """
    return (weight * logprob).sum()


def scatter(weight: Tensor, token: Tensor, size: int) -> Tensor:
    """The gradient scaler of each unique token, [size]: the sum of its terms' weights; weight [M], token [M] int64."""
    return weight.new_zeros(size).index_add_(0, token, weight)
