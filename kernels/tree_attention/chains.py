"""Tree attention on a CPU without a gather and almost without masks: every chain's keys meet their queries in place.

Legend: Nq queries, Nk keys, H query heads, Hkv key heads, G = H / Hkv query heads to a key head, D head size.

In depth-first order the queries that see all of a unary chain [a, b) are the tokens below it, [b, end): one range. So
a row is attention of few dense calls on slices: each *block* of tokens over itself (a chain: the plain causal mask; or
several small chains together under a mask of their own), and each chain's keys under all queries below it that lie in
later blocks, with no mask at all. Every visible pair is computed once, invisible ones only inside merged blocks.

The calls are torch's flash kernels for CPUs, the same that `scaled_dot_product_attention` takes. Their outputs o_c with
log-sum-exps l_c over disjoint sets of keys give the whole softmax (as in FlashAttention's split keys):

    l = log Σ_c exp(l_c),   o = Σ_c exp(l_c − l) o_c

and as the kernel's backward pass needs of the forward no more than o and l (P = exp(S − l), dS = P ∘ (dO Vᵀ − dO · o)),
handed the merged ones it gives each call's exact share of dQ, dK and dV.

Not here: windows, and other devices (`segments`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CALL_PAIRS = 4096  # query-key pairs that take as long as one more call does
LARGEST = 256  # tokens of a block of several chains

_forward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


@dataclass(frozen=True)
class Call:
    """Queries [start, stop) over keys [first, last); indices of the row. Unmasked unless they are the same tokens."""

    start: int
    stop: int
    first: int
    last: int
    seen: Tensor | None = None  # [L, L] bool, for several chains at once

    @property
    def own(self) -> bool:
        """Whether queries and keys are the same tokens."""
        return self.start == self.first


@dataclass
class _Block:
    """Neighbouring chains that share one call over themselves."""

    chains: list[tuple[int, int]] = field(default_factory=list)  # [start, stop) of each
    pairs: int = 0  # visible query-key pairs inside the block

    @property
    def size(self) -> int:
        """Tokens of the block."""
        return self.chains[-1][1] - self.chains[0][0]


def calls_of(end: Tensor, queries: int, q_offset: int = 0) -> tuple[Call, ...]:
    """The calls of queries [q_offset, q_offset + queries) of a forest; those of blocks over themselves come first."""
    ends = end.detach().to("cpu", torch.int64)
    stop = q_offset + queries
    above = [(a, b) for a, b in _chains(ends, 0, q_offset)]
    blocks = list(_blocks(ends, _chains(ends, q_offset, stop)))
    calls = [_over_itself(ends, block) for block in blocks]
    for a, b in above:
        calls += _below(q_offset, min(int(ends[a]), stop), a, b)
    for block in blocks:
        for a, b in block.chains:
            calls += _below(block.chains[-1][1], min(int(ends[a]), stop), a, b)
    return tuple(calls)


def _below(start: int, stop: int, first: int, last: int) -> list[Call]:
    """The call of queries [start, stop) over the chain [first, last) above them; none where there is no query."""
    return [Call(start, stop, first, last)] if start < stop else []


def _chains(ends: Tensor, start: int, stop: int) -> list[tuple[int, int]]:
    """The unary chains of [start, stop): a token continues its predecessor's iff both subtrees end together."""
    if start == stop:
        return []
    forks = (torch.nonzero(ends[start + 1 : stop] != ends[start : stop - 1])[:, 0] + start + 1).tolist()
    return list(pairwise([start, *forks, stop]))


def _blocks(ends: Tensor, chains: list[tuple[int, int]]) -> Iterator[_Block]:
    """Neighbours in one block while that costs at most CALL_PAIRS more pairs for every call that it saves."""
    block = _Block()
    for a, b in chains:
        inside = (b - a) * (b - a + 1) // 2  # causal pairs of the chain with itself
        # A chain of the block whose subtree is still open at b lies above this one: all its tokens are seen.
        seen = inside + (b - a) * sum(hi - lo for lo, hi in block.chains if int(ends[lo]) >= b)
        if block.chains:
            size = block.size + b - a
            wasted = size * size - block.pairs - seen
            if size > LARGEST or wasted > CALL_PAIRS * len(block.chains):
                yield block
                block, seen = _Block(), inside
        block.chains.append((a, b))
        block.pairs += seen
    if block.chains:
        yield block


def _over_itself(ends: Tensor, block: _Block) -> Call:
    """The call of a block's tokens over themselves, with a mask where the block has several chains."""
    a, b = block.chains[0][0], block.chains[-1][1]
    if len(block.chains) == 1:
        return Call(a, b, a, b)
    index = torch.arange(a, b)
    return Call(a, b, a, b, (index[None, :] <= index[:, None]) & (index[:, None] < ends[None, a:b]))


def attend_chains(q: Tensor, k: Tensor, v: Tensor, calls: tuple[Call, ...], q_offset: int, scale: float) -> Tensor:
    """q [Nq, H, D], k and v [Nk, Hkv, D], all on the CPU → [Nq, H, D]."""
    out: Tensor = _Attention.apply(q, k, v, calls, q_offset, scale)
    return out


class _Attention(torch.autograd.Function):  # type: ignore[misc]
    """q [Nq, H, D], k and v [Nk, Hkv, D] → [Nq, H, D]; every visible pair once, forward and backward."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, calls: tuple[Call, ...], q_offset: int, scale: float
    ) -> Tensor:
        """Sum the calls' outputs, each weighted by the share of the softmax that its keys have: [Nq, H, D]."""
        qs, ks, vs = _heads(q, k, v)
        compute = torch.promote_types(q.dtype, torch.float32)
        out = q.new_empty((len(q), *qs.shape[:2], q.shape[-1]), dtype=compute).permute(1, 2, 0, 3)  # [Hkv, G, Nq, D]
        total = q.new_empty(out.shape[:-1], dtype=compute)  # log-sum-exps [Hkv, G, Nq], natural log
        for call in calls:
            rows, keys = slice(call.start - q_offset, call.stop - q_offset), slice(call.first, call.last)
            part, its_sum = _forward(  # 0.0 is dropout's probability
                qs[:, :, rows], ks[:, :, keys], vs[:, :, keys], 0.0, **_masked(call, q.dtype), scale=scale
            )
            if call.own:  # these calls come first and cover every query once, so the others find a value to merge into
                out[:, :, rows], total[:, :, rows] = part, its_sum
            else:
                _merge(out[:, :, rows], total[:, :, rows], part, its_sum)
        out = out.to(q.dtype)
        ctx.save_for_backward(q, k, v, out, total)
        ctx.calls, ctx.q_offset, ctx.scale = calls, q_offset, scale
        return out.permute(2, 0, 1, 3).reshape(q.shape)

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients of q, k and v: the sum of each call's share, from the merged outputs and log-sum-exps."""
        q, k, v, out, total = ctx.saved_tensors
        qs, ks, vs = _heads(q, k, v)
        g = gradient.reshape(len(q), *qs.shape[:2], -1).permute(1, 2, 0, 3)
        dq = total.new_empty((len(q), *qs.shape[:2], q.shape[-1])).permute(1, 2, 0, 3)
        dk, dv = k.new_zeros((2, k.shape[1], len(k), k.shape[2]), dtype=total.dtype).unbind()
        for call in ctx.calls:
            rows, keys = slice(call.start - ctx.q_offset, call.stop - ctx.q_offset), slice(call.first, call.last)
            share_q, share_k, share_v = _backward(
                g[:, :, rows], qs[:, :, rows], ks[:, :, keys], vs[:, :, keys], out[:, :, rows], total[:, :, rows],
                0.0, scale=ctx.scale, **_masked(call, q.dtype),
            )  # fmt: skip
            if call.own:
                dq[:, :, rows] = share_q
            else:
                dq[:, :, rows] += share_q
            dk[:, keys] += share_k.sum(1)  # over the G query heads that read one key head
            dv[:, keys] += share_v.sum(1)
        dq = dq.permute(2, 0, 1, 3).reshape(q.shape)
        return dq.to(q.dtype), dk.transpose(0, 1).to(k.dtype), dv.transpose(0, 1).to(v.dtype), None, None, None


def _heads(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """[Hkv, G, N, D] each, G query heads to a key head; views, keys and values repeated by stride 0."""
    kv, group = k.shape[1], q.shape[1] // k.shape[1]
    qs = q.unflatten(1, (kv, group)).permute(1, 2, 0, 3)
    ks, vs = (x.transpose(0, 1)[:, None].expand(-1, group, -1, -1) for x in (k, v))
    return qs, ks, vs


def _masked(call: Call, dtype: torch.dtype) -> dict[str, Any]:
    """The mask arguments of a call: none over keys above it, causal for one chain, −inf at unseen pairs of several."""
    if not call.own:
        return {"is_causal": False}
    if call.seen is None:
        return {"is_causal": True}
    mask = torch.zeros(call.seen.shape, dtype=dtype).masked_fill_(~call.seen, -torch.inf)
    return {"is_causal": False, "attn_mask": mask}


def _merge(out: Tensor, total: Tensor, part: Tensor, its_sum: Tensor) -> None:
    """Take the outputs [.., L, D] over further keys, whose log-sum-exps are `its_sum` [.., L], into the first two."""
    both = torch.logaddexp(total, its_sum)
    out.mul_((total - both).exp_()[..., None]).add_(part * (its_sum - both).exp_()[..., None])
    total.copy_(both)
