"""Run a model through a forest in parts, depth first, with a loss on every part: nothing is computed twice.

In: parts of a forest, the tokens whose log-probs are wanted, and `visit`, which turns a part's log-probs into its share
of the loss. Out: gradients in the model's parameters, or with `visit` alone the log-probs. A part is forgotten as soon
as its backward pass is done, and that comes as soon as those of the parts below it are. What waits keeps its
activations where the budget holds those of all parts alive together, and its layers' inputs elsewhere (`Part.keep`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch  # noqa: TID253 - only code that runs a model imports this module
from torch import Tensor  # noqa: TID253

from katcore.model.partition import Part
from katcore.model.seams import Seam, Shown
from katcore.model.tree import Forest
from katcore.model.tree_lm import TreeLM

Visit = Callable[[Tensor, Tensor, Tensor], Tensor | None]
"""(which [t], logprob [t], entropy [t]) → the loss of these tokens, or None; `which` are places in `index`."""


@dataclass(frozen=True)
class WalkPlan:
    """A forest cut into parts, and which of the wanted tokens each evaluates: those whose parents it owns.

    A token that hangs below a cut is predicted by the cut token's state, so the part above evaluates it.
    """

    tree: Forest
    parts: Sequence[Part]
    index: Tensor  # [T] wanted tokens, none of them a root
    which: Sequence[Tensor]  # per part, places in `index`
    rows: Sequence[Tensor]  # per part, for each of those the place in `own` of the token that predicts it

    @classmethod
    def of(cls, tree: Forest, parts: Sequence[Part], index: Tensor) -> WalkPlan:
        owner = torch.empty(len(tree), dtype=torch.int64, device=index.device)
        place = torch.empty_like(owner)
        for number, part in enumerate(parts):
            owner[part.own] = number
            place[part.own] = torch.arange(len(part), device=index.device)
        above = tree.parent[index]
        which = [(owner[above] == number).nonzero()[:, 0] for number in range(len(parts))]
        return cls(tree, parts, index, which, [place[above[each]] for each in which])


def order(parts: Sequence[Part]) -> Iterator[tuple[int, bool]]:
    """Yields (part, False) when a part is entered and (part, True) when everything below it is done."""
    stack = [(index, False) for index in range(len(parts) - 1, -1, -1) if parts[index].parent < 0]
    while stack:
        index, leaving = stack.pop()
        yield index, leaving
        if not leaving:
            stack.append((index, True))
            stack += [(child, False) for child in reversed(parts[index].children)]


def walk(lm: TreeLM, plan: WalkPlan, visit: Visit, temperature: float = 1.0, *, recompute: bool = False) -> int:
    """Visit every part; where gradients are enabled, add those of its loss. Returns the number of tokens run.

    `recompute`: let every part keep no more than its layers' inputs.
    """
    computed = 0
    shown: dict[int, Shown] = {}
    waiting: dict[int, tuple[Tensor, Tensor]] = {}
    for index, leaving in order(plan.parts):
        if leaving:
            if index in waiting:
                torch.autograd.backward(*waiting.pop(index))
            del shown[index]
            continue
        part = plan.parts[index]
        shown[index] = Shown()
        keep = part.keep and not recompute
        seam = Seam(part, shown[index], [(shown[above], rows) for above, rows in part.above], keep)
        hidden = lm.hidden(seam, recompute=not keep and torch.is_grad_enabled())
        computed += len(part)
        gradient = _read(lm, plan, index, hidden, visit, temperature)
        # The gradients that come back from below enter through every layer, so a part without a loss of its own has a
        # backward pass too.
        if torch.is_grad_enabled() and (gradient is not None or part.children):
            waiting[index] = hidden, torch.zeros_like(hidden) if gradient is None else gradient
    return computed


def _read(lm: TreeLM, plan: WalkPlan, index: int, hidden: Tensor, visit: Visit, temperature: float) -> Tensor | None:
    """The gradient [n, H] of a part's loss at its last hidden states: known at once, so that the head keeps nothing."""
    which = plan.which[index]
    if not len(which):
        return None
    states = hidden.detach().requires_grad_(torch.is_grad_enabled())
    targets = plan.tree.tokens[plan.index[which]]
    # The states are detached: the head's graph is freed here, before the layers' backward pass needs the memory.
    loss = visit(which, *lm.read(states, targets, plan.rows[index], temperature))
    if loss is None or not loss.requires_grad:
        return None
    loss.backward()
    return states.grad
