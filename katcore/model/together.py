"""A walk through a row in parts as `walk` makes it, in step with other ranks that share the weights.

In: an order that all ranks agreed on, this rank's row or none, and a `Runner` that makes a part's forward and backward
pass with whatever the ranks do together. Out: gradients, or log-probs by `visit` alone. At a place where this rank has
no part it runs one token that weighs nothing, and every part reads the head, so that all ranks make the same passes
through the same modules.
"""

from __future__ import annotations

from typing import Protocol

import torch  # noqa: TID253 - only code that runs a model imports this module
from torch import Tensor  # noqa: TID253

from katcore.model.agreed import Order
from katcore.model.partition import Part
from katcore.model.rows import Rows
from katcore.model.seams import Seam, Shown
from katcore.model.walk import Visit, WalkPlan


class Runner(Protocol):
    """Passes over one part that all ranks make at once."""

    @property
    def device(self) -> torch.device:
        """The device of a part's tensors."""
        ...

    def forward(
        self, seam: Seam, targets: Tensor, rows: Tensor, temperature: float, recompute: bool
    ) -> tuple[Tensor, Tensor]:
        """(logprob [t], entropy [t]) of `targets` at the part's states `rows`; there is at least one."""
        ...

    def backward(self, loss: Tensor, last: bool) -> None:
        """Add the loss's gradients; `last`: no other backward pass comes before the optimiser's step."""
        ...


def walk_together(
    runner: Runner, order: Order, plan: WalkPlan | None, visit: Visit, temperature: float = 1.0, *, last: bool = False
) -> int:
    """Visit this rank's parts; where gradients are enabled, add those of their loss. Returns the number of tokens run.

    `last`: the row is the last one before the optimiser's step.
    """
    computed = 0
    shown: dict[int, Shown] = {}
    losses: dict[int, Tensor] = {}
    final = order.children[-1][-1] if order.children[-1] else -1
    for place, leaving in order.walk():
        index = order.part[place]
        if leaving:
            if (loss := losses.pop(place, None)) is not None:
                runner.backward(loss, last and place == final)
            shown.pop(index, None)
            continue
        recompute = order.recompute[place] and torch.is_grad_enabled()
        if plan is None or index < 0:
            loss = _nothing(runner, temperature, recompute)
        else:
            part = plan.parts[index]
            shown[index] = Shown()
            above = [(shown[each], rows) for each, rows in part.above]
            seam = Seam(part, shown[index], above, keep=not recompute)
            computed += len(part)
            loss = _loss(runner, plan, index, seam, visit, temperature, recompute)
        if torch.is_grad_enabled():
            losses[place] = loss
    return computed


def _loss(
    runner: Runner, plan: WalkPlan, index: int, seam: Seam, visit: Visit, temperature: float, recompute: bool
) -> Tensor:
    """The loss of a part, a scalar with a graph through layers and head even where nothing is read."""
    which = plan.which[index]
    if not len(which):
        first = torch.zeros(1, dtype=torch.int64, device=runner.device)
        return runner.forward(seam, first, first, temperature, recompute)[0].sum() * 0.0
    targets = plan.tree.tokens[plan.index[which]]
    logprob, entropy = runner.forward(seam, targets, plan.rows[index], temperature, recompute)
    loss = visit(which, logprob, entropy)
    nothing = logprob.sum() * 0.0  # a loss that depends on none of them has a backward pass, too
    return nothing if loss is None else loss + nothing


def _nothing(runner: Runner, temperature: float, recompute: bool) -> Tensor:
    """A loss of 0 over a part of one token: times 0 keeps the graph, whose backward pass makes the same collectives."""
    zero, one = torch.tensor([[0], [1]], device=runner.device).unbind()
    part = Part(zero, zero, zero, one, -1, (), Rows(zero[:0]), ())
    return runner.forward(Seam(part, Shown(), ()), zero, zero, temperature, recompute)[0].sum() * 0.0
