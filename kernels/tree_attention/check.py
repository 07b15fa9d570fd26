"""The check that a backend passes before its first use: outputs and gradients against the fp64 reference.

Fast attention kernels have been silently wrong for single head sizes, on single architectures, in gradients only. So
each (backend, head size, dtype, device, window or not) proves itself on a random row of two trees with inherited keys,
long enough that tiles of 128 are skipped, computed whole and computed with a mask, with one and with four query heads
to a key head. A backend that is wrong is refused, never used.
"""

from __future__ import annotations

import random
import warnings
from functools import cache

import torch
from torch import Tensor

from katcore.errors import KatError
from katkernels.tree_attention.backends import attend, candidates, refuse
from katkernels.tree_attention.plan import AttentionPlan, make_plan

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 4e-2, torch.float16: 1e-2}
"""Largest error against the fp64 reference that a backend may have, relative to the largest value of each output."""

# OFFSET and TOKENS are no multiples of 128: query and key tiles begin at different tokens, and the last are ragged.
OFFSET = 131  # keys that are inherited, all of them above every query of the first tree
WINDOW = 300  # tokens of a path; shorter than the trunk, longer than a tile
TOKENS = 1000  # of the row

_checked: set[tuple[str, int, torch.dtype, str, bool]] = set()


def check_backend(
    backend: str, head_size: int, dtype: torch.dtype, device: torch.device, windowed: bool = False
) -> None:
    """Raises KatError unless the backend agrees with the fp64 reference here, gradients too; each case runs once."""
    case = (backend, head_size, dtype, device.type, windowed)
    if case in _checked:
        return
    refuse(backend, head_size, dtype, device)
    error = max(_worst_error(backend, heads, head_size, dtype, device, windowed) for heads in ((2, 2), (4, 1)))
    limit = TOLERANCE.get(dtype, 0.0)
    if not error <= limit:
        raise KatError(
            f"tree attention backend {backend!r} is wrong here: head size {head_size}, {dtype}, {device.type}"
            f"{', window' if windowed else ''}: relative error {error:.2g}, allowed {limit:.2g}",
            hint="choose another backend; reference is always right, and slow",
        )
    _checked.add(case)


@cache
def choose(head_size: int, dtype: torch.dtype, device: torch.device, windowed: bool) -> str:
    """What `auto` takes: the fastest backend that passes its check; a warning for each that fails."""
    for backend in candidates(head_size, dtype, device):
        try:
            check_backend(backend, head_size, dtype, device, windowed)
        except KatError as error:
            warnings.warn(str(error), RuntimeWarning, stacklevel=3)
            last = error
            continue
        return backend
    raise last


def check_row() -> tuple[Tensor, Tensor]:
    """`end` and depth [TOKENS] of the row that backends are checked on: long trunks, and branches down to one token."""
    rng = random.Random(0)
    end, depth = [0] * TOKENS, [0] * TOKENS
    path: list[int] = []
    trunk, tree = 400, 700  # a fork every now and then after the trunk; a second tree from token `tree`
    for i in range(TOKENS):
        if i == tree:
            closed = len(path)
        else:
            closed = rng.randint(1, max(1, len(path) - trunk)) if i > trunk and rng.random() < 0.05 else 0
        for _ in range(min(closed, len(path))):
            end[path.pop()] = i
        depth[i] = len(path)
        path.append(i)
    for j in path:
        end[j] = TOKENS
    return torch.tensor(end), torch.tensor(depth)


def check_plan(device: torch.device, windowed: bool) -> AttentionPlan:
    """The plan of the row of `check_row` with its first OFFSET keys inherited."""
    end, depth = (x.to(device) for x in check_row())
    return make_plan(end, TOKENS - OFFSET, OFFSET, depth, WINDOW if windowed else None)


def _worst_error(
    backend: str, heads: tuple[int, int], head_size: int, dtype: torch.dtype, device: torch.device, windowed: bool
) -> float:
    generator = torch.Generator().manual_seed(0)
    plan = check_plan(device, windowed)
    sizes = ((plan.queries, heads[0]), (plan.keys, heads[1]), (plan.keys, heads[1]), (plan.queries, heads[0]))
    inputs = [torch.randn(n, h, head_size, generator=generator).to(device, dtype) for n, h in sizes]  # q, k, v, d_out
    got = _with_gradients(backend, inputs, plan)
    expected = _with_gradients("reference", [x.double() for x in inputs], plan)
    return max(float((a.double() - b).abs().max() / b.abs().max()) for a, b in zip(got, expected))


def _with_gradients(backend: str, inputs: list[Tensor], plan: AttentionPlan) -> list[Tensor]:
    with torch.enable_grad():
        q, k, v = (x.detach().requires_grad_() for x in inputs[:3])
        out = attend(backend, q, k, v, plan, q.shape[-1] ** -0.5)  # scores of deviation 1, as q and k are normal
        return [out.detach(), *torch.autograd.grad(out, (q, k, v), inputs[3])]
