"""AdamW in one process, with fp32 master weights where the model's are bf16.

In: a model's parameters with gradients. Out: changed weights. A bf16 weight loses what is less than 1/256 of it, so
small steps would vanish: each such weight has a copy in fp32 that AdamW moves, and is rounded from it after every step.
Gradients of the parts of a step are summed in fp32, too: every backward pass's is taken out of the model as it arrives.
A model in fp32 or fp64 is its own master. Several processes: `zero.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from katcore.train.options import BETAS, Optimizer

HALF = (torch.bfloat16, torch.float16)


class Adam:
    """torch's AdamW over a model's parameters, tied weights once."""

    def __init__(self, parameters: Sequence[nn.Parameter], optimizer: Optimizer) -> None:
        self._clip = optimizer.grad_clip or math.inf
        self._own = list(parameters)
        self._masters = [_master(p) if p.dtype in HALF else p for p in self._own]
        self.adamw = torch.optim.AdamW(self._masters, lr=optimizer.lr, betas=BETAS, weight_decay=optimizer.weight_decay)

    @property
    def gradients(self) -> list[Tensor | None]:
        """The step's gradients so far, one a parameter in their order and in the dtype of the sums; None: none yet."""
        return [master.grad for master in self._masters]

    @property
    def to_come(self) -> int:
        """Bytes of gradients and of AdamW's two moments that a step will add to what is there."""
        moments = 0 if self.adamw.state else 2
        return sum(int(p.nbytes) * (moments + (p.grad is None)) for p in self._masters)

    def zero_grad(self) -> None:
        """Drop the gradients, so that the next backward pass starts from none."""
        self.adamw.zero_grad(set_to_none=True)

    def clip(self) -> float:
        """Scale the gradients down to the limit where they exceed it; returns their whole 2-norm before that."""
        gradients = [master.grad for master in self._masters if master.grad is not None]
        # In fp64: torch sums the squares of fp32 tensors in one running total, 4e-5 off at 131,072 of them (seen).
        norm = torch.stack([torch.linalg.vector_norm(g, dtype=torch.float64) for g in gradients]).norm()
        torch.nn.utils.clip_grads_with_norm_(self._masters, self._clip, norm)
        return float(norm)

    def step(self, rate: float) -> None:
        """Take one AdamW step at learning rate `rate`, and round masters into the model's weights."""
        for group in self.adamw.param_groups:
            group["lr"] = rate
        self.adamw.step()
        with torch.no_grad():
            for own, master in zip(self._own, self._masters):
                if own is not master:
                    own.copy_(master)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beside the model's weights: AdamW's state and the fp32 masters."""
        masters = [m.detach() for own, m in zip(self._own, self._masters) if own is not m]
        return {"adamw": self.adamw.state_dict(), "masters": masters}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over the `state` of an optimiser over the same parameters."""
        self.adamw.load_state_dict(state["adamw"])
        kept = [m for own, m in zip(self._own, self._masters) if own is not m]
        with torch.no_grad():
            for master, saved in zip(kept, state.get("masters", ())):
                master.copy_(saved)


def _master(own: nn.Parameter) -> nn.Parameter:
    """The fp32 copy of a weight; a hook moves each gradient of the weight into the copy's as it arrives."""
    master = nn.Parameter(own.detach().float())

    def taken(parameter: Tensor) -> None:
        gradient = parameter.grad
        parameter.grad = None
        if gradient is not None:
            master.grad = gradient.float() if master.grad is None else master.grad.add_(gradient)

    own.register_post_accumulate_grad_hook(taken)
    return master
