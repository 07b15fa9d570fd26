"""Backend `flex`: torch's FlexAttention, with a BlockMask made from our own tile lists.

FlexAttention finds its tiles by evaluating the mask for every pair, O(Nq · Nk) for each row; ours come from bounds of
`end` (`blocks.py`), both directions. Compiled with dynamic shapes: one compilation serves rows of all lengths. On a CPU
torch compiles the forward only and refuses gradients by design.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from katkernels.tree_attention.plan import AttentionPlan
from katkernels.tree_attention.tiles import TileList

TILE = 128  # FlexAttention's own tiles must divide it


def refusal(head_size: int, dtype: torch.dtype, device: torch.device) -> str:
    """Why this backend cannot take such tensors; empty if it can."""
    if dtype == torch.float64 or head_size < 16:
        return "it takes head sizes from 16 in fp32, bf16 and fp16"
    return "" if device.type == "cuda" else "it runs on CUDA (torch has no gradient of FlexAttention on a CPU)"


def block_mask(plan: AttentionPlan) -> BlockMask:
    """FlexAttention's mask of one row, without its O(Nq · Nk) search for tiles."""
    blocks = plan.blocks(TILE, TILE)
    lists = (blocks.partial, blocks.full, blocks.partial_by_key, blocks.full_by_key)
    tensors = [x for tiles in lists for x in _batched(tiles)]
    return BlockMask((plan.queries, plan.keys), *tensors, BLOCK_SIZE=(TILE, TILE), mask_mod=_mask_mod(plan))


def _batched(tiles: TileList) -> tuple[Tensor, Tensor]:
    """Counts [1, 1, rows] and indices [1, 1, rows, columns]: the same for all heads."""
    return tiles.count[None, None], tiles.index[None, None]


def _mask_mod(plan: AttentionPlan) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """The mask of one pair; numbers are captured as tensors, for captured ints would compile anew for each row."""
    end, depth = plan.key_data
    offset = torch.tensor(plan.q_offset, dtype=torch.int32, device=end.device)

    def interval(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        i = query + offset
        return (key <= i) & (i < end[key])

    if plan.window is None:
        return interval
    reach = depth + plan.window  # [Nk]: a query of this depth or more is too far

    def windowed(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        i = query + offset
        return (key <= i) & (i < end[key]) & (depth[i] < reach[key])

    return windowed


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Tensor]:
    compiled: Callable[..., Tensor] = torch.compile(flex_attention, dynamic=True)
    return compiled


def attend_flex(q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, scale: float) -> Tensor:
    """q [Nq, H, D], k and v [Nk, Hkv, D] → [Nq, H, D]; differentiable on CUDA."""
    mask = plan.kept("flex", lambda: block_mask(plan))
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))  # [1, H, N, D]
    out = _compiled()(q, k, v, block_mask=mask, scale=scale, enable_gqa=q.shape[1] != k.shape[1])
    return out[0].transpose(0, 1)
