"""Backend `fa4`: FlashAttention-4's CuTe kernels on Hopper, told our interval mask and our tile lists.

Package flash-attn-4 (`flash_attn.cute`, written against 4.0.0b36; kernels are compiled at their first use). A pair is
compared only in partial tiles, by the masks of `fa4_mask.py`; full tiles take the unmasked path. Keys after the last
query are seen by nobody and cut off, so that queries end where keys end and q_offset is the difference of the two
lengths, which the kernels know: no constant that changes between rows is compiled in.

Known trap: earlier releases gave silently wrong gradients for head size 64 with tile lists (flash-attention issue
2623). The check at first use (`check.py`) compares gradients on a row with skipped, full and partial
tiles, and refuses.
Not supported: fp32 (the kernels take bf16 and fp16), head size 192 (its backward wants 96 keys a tile).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from katcore.errors import KatError
from katkernels.tree_attention.blocks import classify
from katkernels.tree_attention.plan import AttentionPlan
from katkernels.tree_attention.tiles import TileList

# Head size → queries and keys of a tile. The forward wants exactly its own number of keys (128, and at head size 256
# one that divides into 16s and that the backward's 64 divides) and a multiple of its queries; so does the backward.
TILES = {64: (128, 128), 128: (128, 128), 256: (128, 64)}
HINT = "pip install --pre flash-attn-4, on Linux with a Hopper GPU"


def refusal(head_size: int, dtype: torch.dtype, device: torch.device) -> str:
    """Why this backend cannot take such tensors; empty if it can."""
    if head_size not in TILES or dtype not in (torch.bfloat16, torch.float16):
        return f"it takes head sizes {', '.join(map(str, TILES))} in bf16 and fp16"
    if device.type != "cuda" or torch.cuda.get_device_capability(device)[0] != 9:
        return "it runs on Hopper GPUs (compute capability 9)"
    return ""


@lru_cache(maxsize=1)
def modules() -> tuple[Any, Any, Any]:
    """flash_attn.cute's interface and block_sparsity, and our masks; KatError where they cannot be imported."""
    try:
        return (
            import_module("flash_attn.cute.interface"),
            import_module("flash_attn.cute.block_sparsity"),
            import_module("katkernels.tree_attention.fa4_mask"),
        )
    except ImportError as error:
        raise KatError(f"tree attention backend 'fa4' cannot be imported: {error}", hint=HINT) from error


def aux_tensors(plan: AttentionPlan, tile_q: int, tile_k: int) -> list[Tensor]:
    """int32 `end` by key and, for a window, depth + window by key and depth by query.

    Padded to whole tiles: the kernels evaluate the mask beyond the last query and key before they throw it away.
    """
    last = plan.q_offset + plan.queries
    end, depth = (x[:last] for x in plan.key_data)
    by_key = -last % tile_k
    if plan.window is None:
        return [pad(end, (0, by_key))]
    by_query = pad(depth[plan.q_offset :], (0, -plan.queries % tile_q))
    return [pad(end, (0, by_key)), pad(depth + plan.window, (0, by_key)), by_query]


def arguments(plan: AttentionPlan, head_size: int, block_sparse_tensors: Callable[..., Any]) -> dict[str, Any]:
    """What `flash_attn_func` wants of a plan, apart from the mask: lists for both directions, and aux tensors."""
    tile_q, tile_k = TILES[head_size]
    last = plan.q_offset + plan.queries
    blocks = classify(
        plan.end[:last].clamp(max=last), plan.queries, plan.q_offset,
        tile_q=tile_q, tile_k=tile_k, depth=None if plan.depth is None else plan.depth[:last], window=plan.window,
    )  # fmt: skip

    def lists(partial: TileList, full: TileList) -> Any:
        return block_sparse_tensors(
            mask_block_cnt=partial.count[None, None],  # [batch, heads, rows]: the same for all heads
            mask_block_idx=partial.index[None, None],
            full_block_cnt=full.count[None, None],
            full_block_idx=full.index[None, None],
            block_size=(tile_q, tile_k),
        )

    return {
        "aux_tensors": aux_tensors(plan, tile_q, tile_k),
        "block_sparse_tensors": lists(blocks.partial, blocks.full),
        "block_sparse_tensors_bwd": lists(blocks.partial_by_key, blocks.full_by_key),
    }


def attend_fa4(q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, scale: float) -> Tensor:
    """q [Nq, H, D], k and v [Nk, Hkv, D] → [Nq, H, D]; differentiable once."""
    interface, block_sparsity, masks = modules()
    size = q.shape[-1]
    made = plan.kept(f"fa4 {size}", lambda: arguments(plan, size, block_sparsity.BlockSparseTensorsTorch))
    mask_mod = masks.interval_mask if plan.window is None else masks.windowed_mask
    last = plan.q_offset + plan.queries
    q, k, v = (x.contiguous()[None] for x in (q, k[:last], v[:last]))  # [1, N, H, D]
    result = interface.flash_attn_func(q, k, v, softmax_scale=scale, mask_mod=mask_mod, **made)
    out: Tensor = result[0]
    return out[0]
