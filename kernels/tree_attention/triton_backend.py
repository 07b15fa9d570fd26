"""Backend `triton`: tiles and launch parameters for the kernels of `triton_kernel.py`, and their autograd function.

Runs on CUDA from Ampere on, in fp32, bf16 and fp16, for head sizes that are powers of two from 16 to 256. With
TRITON_INTERPRET=1 in the environment when this module is first imported the same kernels run on CPU tensors, slowly:
for tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from katkernels.tree_attention import triton_kernel
from katkernels.tree_attention.plan import AttentionPlan
from katkernels.tree_attention.tiles import TileList

INTERPRETED = not isinstance(triton_kernel.forward_kernel, triton.runtime.JITFunction)
HEAD_SIZES = (16, 32, 64, 128, 256)
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class Tiles:
    """(Queries, keys) of a tile in each of the three kernels."""

    forward: tuple[int, int]
    d_q: tuple[int, int]
    d_kv: tuple[int, int]


# (architecture, bytes of an element, head size up to) → tiles. Shared memory (99 KiB usable on sm_86, 163 on sm_80, 227
# on sm_90) and 255 registers a thread bound them; none has been tuned on hardware yet: see benchmarks/gpu/PENDING.md.
TILES = {
    (90, 2, 64): Tiles((128, 128), (128, 64), (64, 64)),
    (90, 2, 128): Tiles((128, 128), (128, 64), (64, 64)),
    (90, 2, 256): Tiles((64, 64), (64, 32), (32, 64)),
    (80, 2, 64): Tiles((128, 64), (128, 64), (64, 128)),
    (80, 2, 128): Tiles((128, 64), (64, 64), (64, 64)),
    (80, 2, 256): Tiles((64, 32), (64, 32), (32, 64)),
    (90, 4, 64): Tiles((64, 64), (64, 64), (64, 64)),
    (90, 4, 128): Tiles((64, 32), (64, 32), (32, 64)),
    (90, 4, 256): Tiles((32, 32), (32, 32), (32, 32)),
    (80, 4, 64): Tiles((64, 32), (64, 32), (32, 64)),
    (80, 4, 128): Tiles((32, 32), (32, 32), (32, 32)),
    (80, 4, 256): Tiles((32, 16), (32, 16), (16, 32)),
}


_INTERPRETED = Tiles((128, 128), (128, 128), (128, 128))  # the fewer tiles, the fewer interpreted steps

LAUNCHES = [triton.Config({}, num_warps=warps, num_stages=stages) for warps, stages in ((8, 2), (8, 3), (8, 1), (4, 2))]
LONG = 4096  # keys of a row from which on the launches are tried; a shorter row takes the first, compiled once


def tiles_for(device: torch.device, dtype: torch.dtype, head_size: int) -> Tiles:
    """The tiles of this device's architecture; large ones for the interpreter."""
    if INTERPRETED:
        return _INTERPRETED
    architecture = 90 if torch.cuda.get_device_capability(device)[0] == 9 else 80
    return TILES[architecture, dtype.itemsize, next(x for x in (64, 128, 256) if head_size <= x)]


def precision(head_size: int) -> str:
    """How products of fp32 are formed (bf16 and fp16 have one way only); the result is always fp32.

    Three TF32 products on tensor cores give nearly fp32; at head size 256 they would not fit a consumer card's memory.
    """
    if INTERPRETED:
        return "interpreted"
    return "tf32x3" if head_size <= 128 else "ieee"


@cache
def _tuned(name: str) -> Any:
    """The kernel, choosing warps and pipeline stages by trial at its first use (per heads, head size, dtype)."""
    key = ["D", "M", "N", "HEADS", "KV_HEADS", "WINDOW"]
    return triton.autotune(LAUNCHES, key=key)(getattr(triton_kernel, name))


def _kernel(name: str, keys: int) -> tuple[Any, dict[str, int]]:
    """The kernel for a row of so many keys, and its launch parameters where they are not tried."""
    if INTERPRETED:
        return getattr(triton_kernel, name), {}
    if keys < LONG:
        return getattr(triton_kernel, name), {"num_warps": LAUNCHES[0].num_warps, "num_stages": LAUNCHES[0].num_stages}
    return _tuned(name), {}


def refusal(head_size: int, dtype: torch.dtype, device: torch.device) -> str:
    """Why this backend cannot take such tensors; empty if it can."""
    if head_size not in HEAD_SIZES or dtype not in DTYPES:
        return f"it takes head sizes {HEAD_SIZES} in fp32, bf16 and fp16"
    if INTERPRETED:
        return "" if device.type == "cpu" else "TRITON_INTERPRET=1 is set, which is for CPU tensors"
    if device.type != "cuda":
        return "it runs on CUDA; on a CPU only with TRITON_INTERPRET=1"
    if torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs compute capability 8.0 or later"
    return ""


class TreeAttention(torch.autograd.Function):  # type: ignore[misc]
    """Autograd over the kernels; q [Nq, H, D], k and v [Nk, Hkv, D]."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, scale: float) -> Tensor:
        """The output [Nq, H, D]; keeps it and the log-sum-exp [H, Nq] for the backward."""
        q, k, v = (x.contiguous() for x in (q, k, v))
        out = torch.empty_like(q)
        lse = torch.empty(q.shape[1], len(q), dtype=torch.float32, device=q.device)
        tile_q, tile_k = tiles_for(q.device, q.dtype, q.shape[-1]).forward
        blocks = plan.blocks(tile_q, tile_k)
        _launch(
            "forward_kernel", (q, k, v, out, lse), plan, blocks.partial, blocks.full,
            tile_q, tile_k, scale, (len(blocks.full.count), q.shape[1]), q, k,
        )  # fmt: skip
        ctx.save_for_backward(q, k, v, out, lse)
        ctx.plan, ctx.scale = plan, scale
        return out

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, d_out: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        """The gradients [Nq, H, D] of q and [Nk, Hkv, D] of k and v."""
        q, k, v, out, lse = ctx.saved_tensors
        plan, scale, d_out = ctx.plan, ctx.scale, d_out.contiguous()
        tiles = tiles_for(q.device, q.dtype, q.shape[-1])
        delta = torch.empty_like(lse)
        grid = (-(-len(q) // 64), q.shape[1])
        triton_kernel.delta_kernel[grid](out, d_out, delta, len(q), HEADS=q.shape[1], D=q.shape[-1], M=64)
        d_q, d_k, d_v = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        blocks = plan.blocks(*tiles.d_q)
        _launch(
            "d_q_kernel", (q, k, v, d_out, lse, delta, d_q), plan, blocks.partial, blocks.full,
            *tiles.d_q, scale, (len(blocks.full.count), q.shape[1]), q, k,
        )  # fmt: skip
        blocks = plan.blocks(*tiles.d_kv)
        _launch(
            "d_kv_kernel", (q, k, v, d_out, lse, delta, d_k, d_v), plan, blocks.partial_by_key, blocks.full_by_key,
            *tiles.d_kv, scale, (len(blocks.full_by_key.count), k.shape[1]), q, k,
        )  # fmt: skip
        return d_q, d_k, d_v, None, None


def _launch(
    name: str, tensors: tuple[Tensor, ...], plan: AttentionPlan, partial: TileList, full: TileList,
    tile_q: int, tile_k: int, scale: float, grid: tuple[int, int], q: Tensor, k: Tensor,
) -> None:  # fmt: skip
    """Call a kernel with the arguments that all of them share."""
    kernel, launch = _kernel(name, len(k))
    kernel[grid](
        *tensors, *plan.key_data, partial.count, partial.index, full.count, full.index,
        len(q), len(k), plan.q_offset, plan.window or 0, partial.index.shape[1], scale,
        HEADS=q.shape[1], KV_HEADS=k.shape[1], D=q.shape[-1], M=tile_q, N=tile_k,
        WINDOW=plan.window is not None, PRECISION=precision(q.shape[-1]), **launch,
    )  # fmt: skip


def attend_triton(q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, scale: float) -> Tensor:
    """q [Nq, H, D], k and v [Nk, Hkv, D] → [Nq, H, D]; differentiable once."""
    out: Tensor = TreeAttention.apply(q, k, v, plan, scale)
    return out
