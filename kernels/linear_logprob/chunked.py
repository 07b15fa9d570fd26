"""Log-probs and entropies, a few rows of logits at a time; the backward pass computes them again.

Per row with logits z = h Wᵀ / T, p = softmax(z), Z = logsumexp(z), H the entropy, g_m and e_m the gradients that arrive
at log-prob and entropy of the row's targets t_m (several of them at a fork):

    dL/dz = Σ_m g_m · onehot(t_m) − (Σ_m g_m) p − (Σ_m e_m) p ∘ (log p + H)

Held at once: one chunk of logits of at most CHUNK_BYTES and the gradient of the weight, both in max(fp32, dtype): a
bf16 product of every chunk, rounded before it is summed, biases the entropy down over tens of steps. On a CPU a
half-precision weight is therefore cast whole, once per call.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

CHUNK_BYTES = 32 << 20


def logprob_chunked(
    hidden: Tensor, weight: Tensor, targets: Tensor, row: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """hidden [R, H], weight [V, H], targets and row [M] → logprob [M], entropy [M]."""
    rows, local = row.unique(return_inverse=True)  # only the rows that some target reads; ascending
    order = local.argsort(stable=True)  # targets of one row lie together, so that a chunk of rows has a range of them
    back = torch.empty_like(order).index_copy_(0, order, torch.arange(len(order), device=order.device))
    logprob, entropy = _LinearLogprob.apply(hidden[rows], weight, targets[order], local[order], temperature)
    return logprob[back], entropy[local]


def _chunks(rows: int, vocabulary: int, width: int, row: Tensor) -> Iterator[tuple[slice, slice]]:
    """Slices of rows, and of the targets that they predict."""
    step = max(1, CHUNK_BYTES // (vocabulary * width))
    bounds = torch.arange(0, rows + step, step, device=row.device).clamp(max=rows)
    places = torch.searchsorted(row, bounds).tolist()
    for (a, b), (m, n) in zip(pairwise(bounds.tolist()), pairwise(places)):
        yield slice(a, b), slice(m, n)


class _LinearLogprob(torch.autograd.Function):  # type: ignore[misc]
    """hidden [R, H], weight [V, H], targets and row [M] with row ascending → logprob [M], entropy [R]."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, row: Tensor, temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Logits, chunk by chunk; only the normaliser and the entropy of each row are kept."""
        compute = torch.promote_types(hidden.dtype, torch.float32)
        w = weight.to(compute)
        logprob = hidden.new_empty(len(targets), dtype=compute)
        normaliser, entropy = hidden.new_empty(2, len(hidden), dtype=compute).unbind()
        for r, m in _chunks(len(hidden), len(weight), compute.itemsize, row):
            z = (hidden[r].to(compute) @ w.T).div_(temperature)  # [r, V]
            normaliser[r] = z.logsumexp(-1)
            logprob[m] = z[row[m] - r.start, targets[m]] - normaliser[r][row[m] - r.start]
            z -= normaliser[r, None]  # log p
            entropy[r] = -torch.linalg.vecdot(z.exp(), z)
        ctx.save_for_backward(hidden, weight, targets, row, normaliser, entropy)
        ctx.temperature = temperature
        return logprob, entropy

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The same chunks again; `grads` are those of log-prob [M] and entropy [R]."""
        hidden, weight, targets, row, normaliser, entropy = ctx.saved_tensors
        g, e = grads
        compute = normaliser.dtype
        w = weight.to(compute)
        d_hidden = torch.zeros_like(hidden) if ctx.needs_input_grad[0] else None
        d_weight = torch.zeros_like(w) if ctx.needs_input_grad[1] else None
        g_row = g.new_zeros(len(hidden)).index_add_(0, row, g)  # [R]
        for r, m in _chunks(len(hidden), len(weight), compute.itemsize, row):
            h = hidden[r].to(compute)
            logp = (h @ w.T).div_(ctx.temperature).sub_(normaliser[r, None])  # [r, V]
            p = logp.exp()
            dz = logp.add_(entropy[r, None]).mul_(-e[r, None]).sub_(g_row[r, None]).mul_(p)
            dz.index_put_((row[m] - r.start, targets[m]), g[m], accumulate=True)
            dz.div_(ctx.temperature)
            if d_hidden is not None:
                d_hidden[r] = (dz @ w).to(hidden.dtype)
            if d_weight is not None:
                d_weight.addmm_(dz.T, h)
        return d_hidden, None if d_weight is None else d_weight.to(weight.dtype), None, None, None
