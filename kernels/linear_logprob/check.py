"""The check that a backend passes before its first use: values and gradients against all logits in fp64.

Fused heads have been silently wrong (positive log-probs, on one GPU, at one size), and training goes on with nonsense.
So each (backend, dtype, kind of device) proves itself on a small case with forks, rows that nobody reads, several
tiles, a temperature and an entropy gradient. A backend that is wrong is refused, never used.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from katcore.errors import KatError
from katkernels.linear_logprob.reference import logprob_dense

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4, torch.bfloat16: 2e-2, torch.float16: 4e-3}
"""Largest error against the fp64 reference that a backend may have, relative to the largest value of each output.

On this case fp32 products err by 5e-7 and TF32 products by 8e-4, so the bound of fp32 refuses TF32.
"""

ROWS, SIZE, VOCABULARY, TARGETS, TEMPERATURE = 70, 64, 1000, 90, 0.8

_checked: set[tuple[str, torch.dtype, str]] = set()


def check_backend(backend: str, compute: Callable[..., tuple[Tensor, Tensor]], like: Tensor) -> None:
    """Raises KatError unless `compute` agrees with the reference; each backend, dtype and kind of device runs once.

    `like` is any tensor of the dtype and on the device to check.
    """
    case = (backend, like.dtype, like.device.type)
    if case in _checked:
        return
    error = worst_error(compute, like.dtype, like.device)
    limit = TOLERANCE.get(like.dtype, 0.0)
    if not error <= limit:
        raise KatError(
            f"linear_logprob backend {backend!r} is wrong here: {like.dtype}, {like.device.type}: relative error "
            f"{error:.2g}, allowed {limit:.2g}",
            hint="choose another backend (reference holds all logits), or turn off tf32 products if fp32 is refused",
        )
    _checked.add(case)


def worst_error(compute: Callable[..., tuple[Tensor, Tensor]], dtype: torch.dtype, device: torch.device) -> float:
    """Largest error of log-probs, entropies and both gradients, each relative to the reference's largest value."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(ROWS, SIZE, generator=generator).to(device, dtype)  # [R, H]
    # / 4: logits have a deviation of √64 / 4 / 0.8 = 2.5, so that softmax is neither flat nor one-hot.
    weight = (torch.randn(VOCABULARY, SIZE, generator=generator) / 4).to(device, dtype)  # [V, H]
    targets = torch.randint(VOCABULARY, (TARGETS,), generator=generator).to(device)
    row = torch.randint(ROWS, (TARGETS,), generator=generator).to(device)
    upstream = torch.randn(2, TARGETS, generator=generator, dtype=torch.float64).to(device)  # of log-prob and entropy
    # So few bytes make several tiles of rows or of columns, the last one smaller than the others.
    got = _with_gradients(compute, hidden, weight, targets, row, upstream, tile_bytes=ROWS * 300 * 4)
    expected = _with_gradients(logprob_dense, hidden.double(), weight.double(), targets, row, upstream)
    return max(float((a.double() - b).abs().max() / b.abs().max()) for a, b in zip(got, expected))


def _with_gradients(
    compute: Callable[..., tuple[Tensor, Tensor]], hidden: Tensor, weight: Tensor, targets: Tensor, row: Tensor,
    upstream: Tensor, **options: int,
) -> list[Tensor]:  # fmt: skip
    with torch.enable_grad():
        h, w = hidden.detach().requires_grad_(), weight.detach().requires_grad_()
        values = compute(h, w, targets, row, TEMPERATURE, **options)
        grads = torch.autograd.grad(values, (h, w), [x.to(v.dtype) for x, v in zip(upstream, values)])
        return [*(v.detach() for v in values), *grads]
