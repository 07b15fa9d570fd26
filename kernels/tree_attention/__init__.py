"""Softmax attention over a forest of token tries in depth-first order.

Legend: Nq queries, Nk keys, H query heads, Hkv key heads (H a multiple of Hkv), D head size.

`end[j]` is one past key j's subtree, so a token sees its own path and nothing else:

    query i sees key j  ⇔  j ≤ i < end[j]          (query number n has index i = q_offset + n)

A single int per key says the whole mask, for a sequence, a tree or several trees in one row. Keys before `q_offset`
are what a partition inherits from its ancestors. A sliding window counts along the path, not along the row: with depths
it also wants depth[i] − depth[j] < window, so that a query sees itself and the window − 1 keys before it, as in
transformers' `sliding_window`.

Backends: `reference` (dense, what the others are held against), `segments` (torch's own attention, on any device),
`triton` (our kernels, which skip tiles without visible pairs; from Ampere on), `flex` (torch's FlexAttention) and `fa4`
(FlashAttention-4 on Hopper). `auto` is the fastest that is there and right: fa4, then triton, then segments. The first
use of a backend with a head size and dtype is checked against the reference, gradients too (`check.py`).
"""

from __future__ import annotations

from torch import Tensor

from katkernels.tree_attention.backends import BACKENDS, attend
from katkernels.tree_attention.blocks import classify
from katkernels.tree_attention.check import TOLERANCE, check_backend, choose
from katkernels.tree_attention.plan import AttentionPlan, make_plan
from katkernels.tree_attention.tiles import Blocks

__all__ = [
    "BACKENDS",
    "TOLERANCE",
    "AttentionPlan",
    "Blocks",
    "check_backend",
    "classify",
    "make_plan",
    "tree_attention",
]


def tree_attention(
    q: Tensor,  # [Nq, H, D]
    k: Tensor,  # [Nk, Hkv, D]
    v: Tensor,  # [Nk, Hkv, D]
    end: Tensor,  # [Nk] integers, j < end[j] <= Nk, subtrees nested
    *,
    q_offset: int = 0,
    scale: float | None = None,
    window: int | None = None,
    depth: Tensor | None = None,  # [Nk] integers, each token's position on its own path; needed for a window
    backend: str = "auto",
    plan: AttentionPlan | None = None,
) -> Tensor:
    """Attention [Nq, H, D] of every query over its own path; differentiable in q, k and v.

    `scale` is 1/sqrt(D) by default. `plan` is `make_plan(end, Nq, q_offset, depth, window)`, which a caller keeps for
    all layers of a row with the same window; without it, it is made anew. ValueError for shapes that do not fit,
    KatError for a backend that is not there, cannot take these tensors or fails its check on this machine.
    """
    _check_shapes(q, k, v, end, q_offset)
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    plan = plan or make_plan(end, len(q), q_offset, depth, window)
    if (plan.queries, plan.keys, plan.q_offset, plan.window) != (len(q), len(k), q_offset, window):
        raise ValueError(
            f"the plan is for {plan.queries} queries at {plan.q_offset}, {plan.keys} keys and a window of {plan.window}"
        )
    case = (q.shape[-1], q.dtype, q.device, window is not None)
    if backend == "auto":
        backend = choose(*case)
    elif backend != "reference":
        check_backend(backend, *case)
    return attend(backend, q, k, v, plan, scale if scale is not None else q.shape[-1] ** -0.5)


def _check_shapes(q: Tensor, k: Tensor, v: Tensor, end: Tensor, q_offset: int) -> None:
    if q.ndim != 3 or k.ndim != 3 or k.shape != v.shape or q.shape[-1] != k.shape[-1]:
        raise ValueError(f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}: want [Nq, H, D], [Nk, Hkv, D]")
    if q.shape[1] % k.shape[1]:
        raise ValueError(f"{q.shape[1]} query heads are not a multiple of {k.shape[1]} key heads")
    if end.shape != (len(k),) or end.dtype.is_floating_point:
        raise ValueError(f"end {tuple(end.shape)} {end.dtype}: want one integer for each of {len(k)} keys")
    if q_offset < 0 or q_offset + len(q) > len(k):
        raise ValueError(f"{len(q)} queries at {q_offset} do not lie among {len(k)} keys")
