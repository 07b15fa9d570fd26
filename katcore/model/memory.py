"""What a walk through a forest will hold at its worst moment: known before the walk, measured on this very model.

In: a model over trees and the plan of a row. Out: an `Estimate` in bytes, beside the weights, their gradients and the
optimiser. Activations grow linearly with tokens, so a few walks over short chains give the bytes that a token takes
while its part is worked on, and while it waits with its activations or with its layers' inputs alone; what parts lend
to those below (keys, values and their gradients) and what the head needs are known from their shapes. The estimate is
the largest sum along the walk:

    peak = max over parts of  work · own tokens + Σ over the parts above (keep or wait) · tokens + path · lent tokens

It leaves out what libraries keep for themselves, and allocators' gaps.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - only code that runs a model imports this module
from torch import Tensor  # noqa: TID253
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: TID253
from torch.utils._pytree import tree_leaves  # noqa: TID253

from katcore.model.partition import ancestors, partition
from katcore.model.tree import Forest
from katcore.model.tree_lm import TreeLM
from katcore.model.walk import WalkPlan, walk
from katkernels.linear_logprob import head_bytes


@dataclass(frozen=True)
class Costs:
    """Bytes that a token takes in each state of its part; `fixed` and `weight` do not depend on tokens."""

    work: float  # while its part is worked on
    again: float  # the same in a part that is computed again layer by layer
    keep: float  # while its part waits with its activations
    wait: float  # while its part waits with its layers' inputs
    path: float  # lent to the parts below: keys, values and their gradients, in all layers
    join: float  # on the path of the part that is worked on: one layer's keys and values once more, and their gradients
    weight: int  # the gradient of the largest weight, before it is added
    fixed: int

    @classmethod
    def of(cls, lm: TreeLM) -> Costs:
        """Measure the model's costs with a few forward and backward passes; leaves the parameters without gradients."""
        weight = max(int(p.nbytes) for p in lm.model.parameters())
        # long enough that the activations, not one weight's gradient, make the peak
        short = max(64, 6 * weight // rough_bytes(lm))
        long = 2 * short
        lent = _lent(lm)

        def chain(above: int, own: int, recompute: bool = False) -> int:
            # A budget of `own` cuts the chain so that `above` tokens wait while `own` are worked on.
            return _peak(lm, _fork([above + own]), own, recompute)

        _peak(lm, _fork([short]), 0)  # from here on the parameters' gradients are there, as in most of a step
        base = chain(short, long)
        work = (chain(short, 2 * long) - base) / long
        wait = (chain(long, long) - base) / (long - short)
        fork = [_peak(lm, _fork([long, long], above), above + long) for above in (short, long - 1)]
        keep = (fork[1] - fork[0]) / (long - 1 - short)
        again = (chain(0, 2 * long, True) - chain(0, long, True)) / long
        fixed = round(base - wait * short - work * long)
        lm.model.zero_grad(set_to_none=True)
        values = lent[0] * lm.model.config.num_hidden_layers  # no gradient has come back at these walks' peaks
        path = sum(lent) * lm.model.config.num_hidden_layers
        return cls(work, again, keep - values, wait - values, path, sum(lent), weight, max(fixed, 0))


@dataclass(frozen=True)
class Estimate:
    """The worst moment of a walk: `bytes` in all, those of tokens with activations and of tokens that only wait."""

    bytes: int
    live: int  # tokens whose activations are there
    path: int  # tokens on the path above that are not
    live_bytes: float  # of one of these
    path_bytes: float

    def __str__(self) -> str:
        return (
            f"{mib(self.bytes)}: {self.live:,} tokens with activations at {self.live_bytes / 1024:,.1f} KiB, "
            f"{self.path:,} tokens above at {self.path_bytes / 1024:,.1f} KiB"
        )


def mib(size: float) -> str:
    """A number of bytes as text in MiB."""
    return f"{size / 2**20:,.1f} MiB"


def estimate(lm: TreeLM, plan: WalkPlan, costs: Costs, *, recompute: bool = False) -> Estimate:
    """The largest number of bytes that `walk(lm, plan, …)` with gradients holds, and what it consists of."""
    best = Estimate(0, 0, 0, 0.0, 0.0)
    for index, part in enumerate(plan.parts):
        above = [plan.parts[each] for each in ancestors(plan.parts, index)]
        kept = sum(len(each) for each in above if each.keep and not recompute)
        waits = sum(map(len, above)) - kept
        keep = part.keep and not recompute
        reading = (costs.keep if keep else costs.wait) * len(part) + _head(lm, plan, index)
        own = max(
            (costs.work if keep else costs.again) * len(part) + costs.join * part.inherited, reading, costs.weight
        )
        lent = costs.path * sum(len(each.shown) for each in above)
        size = costs.fixed + own + costs.keep * kept + costs.wait * waits + lent
        if size > best.bytes:
            live = own + costs.keep * kept + (lent if not waits else 0)
            rest = size - costs.fixed - live
            best = Estimate(
                round(size), len(part) + kept, waits, live / (len(part) + kept), rest / waits if waits else 0.0
            )
    return best


def rough_bytes(lm: TreeLM) -> int:
    """Bytes of a token's activations in all layers, roughly, from the widths in the model's config."""
    config = lm.model.config
    widths = 16 * config.hidden_size + 6 * getattr(config, "intermediate_size", 4 * config.hidden_size)
    width: int = widths * lm.model.dtype.itemsize
    return width * int(config.num_hidden_layers)


def _head(lm: TreeLM, plan: WalkPlan, index: int) -> int:
    """Bytes of the log-probs that are read from a part: the head's, its gradient, and that of the states."""
    rows = len(plan.rows[index].unique())
    states = len(plan.parts[index]) * lm.head.shape[1] * lm.head.dtype.itemsize
    vocabulary, size = lm.head.shape
    return states + head_bytes(rows, size, vocabulary, lm.head.dtype, lm.device) if rows else 0


def _lent(lm: TreeLM) -> tuple[int, int]:
    """Bytes of one token's keys and values in one layer, and of their gradients."""
    config = lm.model.config
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    pair = 2 * config.num_key_value_heads * head
    return pair * lm.model.dtype.itemsize, pair * torch.promote_types(lm.model.dtype, torch.float32).itemsize


def _fork(branches: list[int], above: int = 0) -> Forest:
    """The forest of a chain of `above` tokens with branches of these many tokens below it."""
    size = above + sum(branches)
    parent, depth = torch.arange(-1, size - 1), torch.arange(size)
    end = torch.full((size,), size)
    first = above
    for branch in branches:
        parent[first] = above - 1
        depth[first : first + branch] = torch.arange(above, above + branch)
        end[first : first + branch] = first + branch
        first += branch
    return Forest(torch.zeros(size, dtype=torch.int64), parent, depth, end)


def _peak(lm: TreeLM, tree: Forest, budget: int, recompute: bool = False) -> int:
    """Bytes that a walk adds at its peak; only the leaves are read, so that the head counts for nothing."""
    tree = tree.to(lm.device)
    leaves = (tree.end == torch.arange(1, len(tree) + 1, device=lm.device)).nonzero()[:, 0]
    plan = WalkPlan.of(tree, partition(tree, budget), leaves)

    def work() -> None:
        with torch.enable_grad():
            walk(lm, plan, lambda which, logprob, entropy: -logprob.sum(), recompute=recompute)

    if lm.device.type != "cuda":
        parameters = [each for p in lm.model.parameters() for each in (p, p.grad) if each is not None]
        return live_peak(work, [*parameters, *lm.model.buffers()])
    torch.cuda.synchronize(lm.device)
    before = torch.cuda.memory_allocated(lm.device)
    torch.cuda.reset_peak_memory_stats(lm.device)
    work()
    torch.cuda.synchronize(lm.device)
    peak: int = torch.cuda.max_memory_allocated(lm.device)
    return peak - int(before)


def live_peak(work: Callable[[], None], there: Iterable[Tensor] = ()) -> int:
    """The most bytes of tensors that live at once while `work` runs, without those that are `there` before."""
    live = _Live(there)
    with live:
        work()
    peak: int = live.peak
    return peak


class _Live(TorchDispatchMode):  # type: ignore[misc]
    """Counts the storages that operations return, until they are freed. What an operation uses inside is not seen."""

    def __init__(self, there: Iterable[Tensor]) -> None:
        super().__init__()
        self.live = self.peak = 0
        self.seen: weakref.WeakKeyDictionary[Any, None] = weakref.WeakKeyDictionary()
        for tensor in there:
            self.seen[tensor.untyped_storage()] = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and tensor.untyped_storage() not in self.seen:
                storage = tensor.untyped_storage()
                self.seen[storage] = None
                self.live += storage.nbytes()
                weakref.finalize(storage, self._free, storage.nbytes())
                self.peak = max(self.peak, self.live)
        return out

    def _free(self, size: int) -> None:
        self.live -= size
