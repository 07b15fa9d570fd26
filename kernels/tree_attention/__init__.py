"""Softmax attention over a forest of token tries in depth-first order.

Legend: Nq queries, Nk keys, H query heads, Hkv key heads (H a multiple of Hkv), D head size.

`end[j]` is one past key j's subtree, so a token sees its own path and nothing else:

    query i sees key j  ⇔  j ≤ i < end[j]          (query number n has index i = q_offset + n)

A single int per key says the whole mask, for a sequence, a tree or several trees in one row. Keys before `q_offset`
are what a partition inherits from its ancestors. Backends: `reference` (dense, what the others are held against) and
`segments` (SDPA over the paths, on any device). The first use of a backend with a head size and dtype is checked
against the reference, gradients too; a backend that is wrong is refused, never used.
"""

from __future__ import annotations

import torch
from torch import Tensor

from katcore.errors import KatError
from katkernels.tree_attention.reference import attend_dense
from katkernels.tree_attention.segments import Plan, attend_segments, make_plan

__all__ = ["BACKENDS", "Plan", "check_backend", "make_plan", "tree_attention"]

BACKENDS = ("auto", "reference", "segments")

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 4e-2, torch.float16: 1e-2}
"""Largest error against the fp64 reference that a backend may have, relative to the largest value."""

_checked: set[tuple[str, int, torch.dtype, str]] = set()


def tree_attention(
    q: Tensor,  # [Nq, H, D]
    k: Tensor,  # [Nk, Hkv, D]
    v: Tensor,  # [Nk, Hkv, D]
    end: Tensor,  # [Nk] integers, j < end[j] <= Nk, subtrees nested
    *,
    q_offset: int = 0,
    scale: float | None = None,
    backend: str = "auto",
    plan: Plan | None = None,
) -> Tensor:
    """Attention [Nq, H, D] of every query over its own path; differentiable in q, k and v.

    `scale` is 1/sqrt(D) by default. `plan` is `make_plan(end, Nq, q_offset)`, which a caller keeps for all layers of a
    row; without it, it is made anew. ValueError for shapes that do not fit, KatError for a backend that fails its
    check on this machine.
    """
    _check_shapes(q, k, v, end, q_offset)
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    chosen = "segments" if backend == "auto" else backend
    if chosen != "reference":
        check_backend(chosen, q.shape[-1], q.dtype, q.device)
    return _attend(chosen, q, k, v, end, q_offset, scale if scale is not None else q.shape[-1] ** -0.5, plan)


def _attend(
    backend: str, q: Tensor, k: Tensor, v: Tensor, end: Tensor, q_offset: int, scale: float, plan: Plan | None
) -> Tensor:
    if backend == "reference":
        return attend_dense(q, k, v, end, q_offset, scale)
    plan = plan or make_plan(end, len(q), q_offset)
    if (plan.queries, plan.keys, plan.q_offset) != (len(q), len(k), q_offset):
        raise ValueError(f"the plan is for {plan.queries} queries at {plan.q_offset} and {plan.keys} keys")
    return attend_segments(q, k, v, end, plan, scale)


def _check_shapes(q: Tensor, k: Tensor, v: Tensor, end: Tensor, q_offset: int) -> None:
    if q.ndim != 3 or k.ndim != 3 or k.shape != v.shape or q.shape[-1] != k.shape[-1]:
        raise ValueError(f"q {tuple(q.shape)}, k {tuple(k.shape)}, v {tuple(v.shape)}: want [Nq, H, D], [Nk, Hkv, D]")
    if q.shape[1] % k.shape[1]:
        raise ValueError(f"{q.shape[1]} query heads are not a multiple of {k.shape[1]} key heads")
    if end.shape != (len(k),) or end.dtype.is_floating_point:
        raise ValueError(f"end {tuple(end.shape)} {end.dtype}: want one integer for each of {len(k)} keys")
    if q_offset < 0 or q_offset + len(q) > len(k):
        raise ValueError(f"{len(q)} queries at {q_offset} do not lie among {len(k)} keys")


# ------------------------------------------------------------------------------------------------- self-check

#   0 ─ 1 ─ 2 ─ 3 ─ 4        two trees in one row: forks at 1, 2 and 8, a leaf of one token, and 3 inherited keys
#       │   └── 5
#       └── 6 ─ 7            8 ─ 9 ─ 10
#                            └── 11
_CHECK_END = (8, 8, 6, 5, 5, 6, 8, 8, 12, 11, 11, 12)
_CHECK_OFFSET = 3


def check_backend(backend: str, head_size: int, dtype: torch.dtype, device: torch.device) -> None:
    """KatError unless the backend agrees with the fp64 reference here, gradients too; each case is checked once."""
    case = (backend, head_size, dtype, device.type)
    if case in _checked:
        return
    error = _worst_error(backend, head_size, dtype, device)
    limit = TOLERANCE.get(dtype, 0.0)
    if not error <= limit:
        raise KatError(
            f"tree attention backend {backend!r} is wrong here: head size {head_size}, {dtype}, {device.type}: "
            f"relative error {error:.2g}, allowed {limit:.2g}",
            hint="choose another backend; reference is always right, and slow",
        )
    _checked.add(case)


def _worst_error(backend: str, head_size: int, dtype: torch.dtype, device: torch.device) -> float:
    generator = torch.Generator().manual_seed(0)
    end = torch.tensor(_CHECK_END, device=device)
    queries = len(_CHECK_END) - _CHECK_OFFSET
    sizes = ((queries, 4), (len(_CHECK_END), 2), (len(_CHECK_END), 2), (queries, 4))  # q, k, v, gradient of the output
    inputs = [torch.randn(n, h, head_size, generator=generator).to(device, dtype) for n, h in sizes]
    got = _with_gradients(backend, inputs, end)
    expected = _with_gradients("reference", [x.double() for x in inputs], end)
    return max(float((a.double() - b).abs().max() / b.abs().max()) for a, b in zip(got, expected))


def _with_gradients(backend: str, inputs: list[Tensor], end: Tensor) -> list[Tensor]:
    with torch.enable_grad():
        q, k, v = (x.detach().requires_grad_() for x in inputs[:3])
        out = _attend(backend, q, k, v, end, _CHECK_OFFSET, q.shape[-1] ** -0.5, None)
        return [out.detach(), *torch.autograd.grad(out, (q, k, v), inputs[3])]
