"""Keys and values that parts of a forest lend to the parts below them, and the gradients that come back.

A part is run when all its ancestors have been. Its attention, layer by layer, reads the keys and values of the path
above as detached tensors, and shows its own to the parts below. In the backward pass, children first, the gradient of
what was read is added to the ancestors' accumulators, in max(fp32, compute dtype); an ancestor's own backward pass
starts with what its accumulators hold. That is the gradient of loss + Σ ⟨shown tensor, gradient⟩, taken layer by layer,
so that nothing but keys, values and their gradients has to be kept along the path, and that once, and any layer may be
recomputed.

Legend: n own tokens of a part, P tokens of the path above it, E own tokens that parts below see, Hkv key heads, D head
size.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch  # noqa: TID253 - only code that runs a model imports this module
from torch import Tensor  # noqa: TID253

from katcore.model.partition import Part
from katcore.model.rows import Rows

Pair = tuple[Tensor, Tensor]


@dataclass
class Shown:
    """What one part lends, by layer: keys and values [E, Hkv, D], and the gradients that have come back."""

    values: dict[int, Pair] = field(default_factory=dict)
    gradients: dict[int, Pair] = field(default_factory=dict)

    def add(self, layer: int, rows: Rows, gradient: Pair) -> None:
        """Add the gradients of keys and values, [R, Hkv, D] each, to the `rows` of the layer's accumulators."""
        if layer not in self.gradients:
            compute = torch.promote_types(gradient[0].dtype, torch.float32)
            k, v = self.values[layer]
            self.gradients[layer] = (torch.zeros_like(k, dtype=compute), torch.zeros_like(v, dtype=compute))
        for total, part in zip(self.gradients[layer], gradient):
            rows.add(total, part)


@dataclass(frozen=True)
class Seam:
    """The joints of one part while it runs: `above` are its ancestors' stores, `own` is its store."""

    part: Part
    own: Shown
    above: Sequence[tuple[Shown, Rows]]
    keep: bool = True
    """Whether the part's activations wait for its backward pass."""

    def join(self, layer: int, key: Tensor, value: Tensor) -> Pair:
        """Own keys and values [n, Hkv, D] → those of the path above and then the own ones, [P + n, Hkv, D]."""
        if not self.above and not len(self.part.shown):
            return key, value
        joined: Pair = _Join.apply(key, value, self, layer)
        return joined

    def remembered(self, layer: int, own: Pair, joined: Pair) -> AbstractContextManager[object]:
        """While this is open, whoever saves `joined` for a backward pass saves `own`, and joins it again then.

        Else every part along a path would keep a copy of the path's keys and values for each of its layers.
        """
        if not self.above or not self.keep:
            return nullcontext()

        places = [(whole.data_ptr(), whole.shape) for whole in joined]  # no reference: autograd keeps `pack` itself

        def pack(tensor: Tensor) -> Tensor | _Joined:
            place = (tensor.data_ptr(), tensor.shape)
            if place not in places:
                return tensor
            which = places.index(place)
            return _Joined(self, layer, which, own[which].detach())

        def unpack(kept: Tensor | _Joined) -> Tensor:
            return kept.again() if isinstance(kept, _Joined) else kept

        hooks: AbstractContextManager[object] = torch.autograd.graph.saved_tensors_hooks(pack, unpack)
        return hooks


@dataclass(frozen=True)
class _Joined:
    """Stands for a layer's joined keys (`which` 0) or values (1), and holds the own ones alone."""

    seam: Seam
    layer: int
    which: int
    own: Tensor  # [n, Hkv, D]

    def again(self) -> Tensor:
        """The joined tensor [P + n, Hkv, D], made anew from the stores of the path above."""
        above = (rows.of(store.values[self.layer][self.which]) for store, rows in self.seam.above)
        return torch.cat([*above, self.own])


class _Join(torch.autograd.Function):  # type: ignore[misc]
    """Forward: lend and read. Backward: hand the read rows' gradients up, take in what came back for the lent ones."""

    @staticmethod
    def forward(ctx: Any, key: Tensor, value: Tensor, seam: Seam, layer: int) -> Pair:
        """Keys and values [n, Hkv, D] → [P + n, Hkv, D]; the shown ones are stored at a layer's first run."""
        ctx.seam, ctx.layer = seam, layer
        shown = seam.part.shown
        if len(shown) and layer not in seam.own.values:  # not when a layer is computed again
            # copies: a view would keep what the part computes again
            seam.own.values[layer] = shown.of(key.detach()).clone(), shown.of(value.detach()).clone()
        parts = [(*(rows.of(x) for x in store.values[layer]),) for store, rows in seam.above]
        return torch.cat([*(k for k, _ in parts), key]), torch.cat([*(v for _, v in parts), value])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients [P + n, Hkv, D] of the joined tensors → [n, Hkv, D] of the own ones, what came back included."""
        seam, layer = ctx.seam, ctx.layer
        sizes = [*(len(rows) for _, rows in seam.above), len(seam.part)]
        keys, values = (grad.split(sizes) for grad in grads)
        for (store, rows), k, v in zip(seam.above, keys, values):
            store.add(layer, rows, (k, v))
        own = keys[-1], values[-1]
        if layer in seam.own.gradients:
            back = seam.own.gradients.pop(layer)
            own = _with(own[0], back[0], seam.part.shown), _with(own[1], back[1], seam.part.shown)
        return own[0], own[1], None, None


def _with(gradient: Tensor, came_back: Tensor, shown: Rows) -> Tensor:
    """[n, Hkv, D] with [E, Hkv, D] added at its rows `shown`, summed in the accumulator's dtype."""
    whole = gradient.clone()  # a view of autograd's own tensor, which is not to be written to
    whole[shown.at] = (came_back + shown.of(gradient)).to(gradient.dtype)
    return whole
