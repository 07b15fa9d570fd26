"""Log-probs and entropies in plain torch, a few rows of logits at a time: the path of CPUs.

Per row with logits z = h Wᵀ / T, p = softmax(z), Z = logsumexp(z), H the entropy, g_m and e_m the gradients that arrive
at log-prob and entropy of the row's targets t_m (several of them at a fork), G = Σ_m g_m, E = Σ_m e_m:

    dL/dz = Σ_m g_m · onehot(t_m) − p ∘ (G + E (log p + H))

The arriving gradients are numbers of a row, so that they leave the products with p, and `s = p W` [R, H], one product
in the forward pass, serves twice: Σ_v p_v z_v = h · s / T gives the entropy without a pass over the logits, and where E
is nothing, as in most losses,

    dL/dh = (Σ_m g_m W[t_m] − G s) / T        dL/dW = Σ_m onehot(t_m) ⊗ g_m h / T − pᵀ (G h / T)

Each logit is then touched by the products and by one fused softmax, nothing else. p stays for the backward pass while
all of it takes at most KEEP_BYTES (three products in all); beyond, the backward pass computes it again, tile by tile
(four products). An entropy gradient costs one product more and a pass over p. Everything is in max(fp32, dtype): a bf16
product of every chunk, rounded before it is summed, biases the entropy down over tens of steps. On a CPU a
half-precision weight is therefore cast whole, once per call.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from katkernels.linear_logprob.rows import read_rows

TILE_BYTES = 30 << 20
"""Bytes of logits computed at once: enough for fast products; from 32 MiB on, glibc takes fresh pages each time."""

KEEP_BYTES = 256 << 20
"""The most bytes that the softmaxes kept for the backward pass take."""


def logprob_chunked(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    row: Tensor,
    temperature: float,
    tile_bytes: int = TILE_BYTES,
    keep_bytes: int = KEEP_BYTES,
) -> tuple[Tensor, Tensor]:
    """hidden [R, H], weight [V, H], targets and row [M] → logprob [M], entropy [M]."""
    read = read_rows(hidden, targets, row)
    differentiable = torch.is_grad_enabled() and (hidden.requires_grad or weight.requires_grad)
    logprob, entropy = _LinearLogprob.apply(
        read.hidden, weight, read.targets, read.row, temperature, tile_bytes, keep_bytes if differentiable else -1
    )
    return read.unsorted(logprob), entropy[read.local]


def workspace_bytes(rows: int, size: int, vocabulary: int, dtype: torch.dtype, keep_bytes: int = KEEP_BYTES) -> int:
    """Bytes of both passes beyond inputs, outputs and gradients, for `rows` rows that are read."""
    width: int = torch.promote_types(dtype, torch.float32).itemsize
    probabilities = rows * vocabulary * width
    tile = min(probabilities, max(TILE_BYTES, vocabulary * width))
    kept = probabilities if probabilities <= keep_bytes else tile
    cast: int = 0 if dtype.itemsize == width else 2 * vocabulary * size * width  # the weight and its gradient
    return kept + cast + 4 * rows * size * width  # h / T, s, dL/dh and one [R, H] product with g at a time


def _tiles(rows: int, vocabulary: int, width: int, tile_bytes: int) -> Iterator[slice]:
    step = max(1, tile_bytes // (vocabulary * width))
    for a in range(0, rows, step):
        yield slice(a, min(a + step, rows))


class _LinearLogprob(torch.autograd.Function):  # type: ignore[misc]
    """hidden [R, H], weight [V, H], targets and row [M] with row ascending → logprob [M], entropy [R].

    `keep_bytes` is negative where no gradient will be asked for.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, row: Tensor, temperature: float,
        tile_bytes: int, keep_bytes: int,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Computes the logits of one tile of rows after the other and turns them into probabilities in place."""
        # A loss without an entropy term then hands the backward pass None, which saves its pass over p.
        ctx.set_materialize_grads(False)
        compute = torch.promote_types(hidden.dtype, torch.float32)
        w, h = weight.to(compute), hidden.to(compute) / temperature  # 1/T costs R · H here, R · V on the logits
        (rows, _), vocabulary, width = h.shape, len(w), compute.itemsize
        tiles = list(_tiles(rows, vocabulary, width, tile_bytes))
        kept = rows * vocabulary * width <= keep_bytes
        buffer = h.new_empty(rows if kept else tiles[0].stop if tiles else 0, vocabulary)  # [R or rows of a tile, V]
        # Without a gradient there is no s, so Σ p z is summed from both: p needs a place beside z.
        spare = torch.empty_like(buffer if keep_bytes < 0 else buffer[:0])
        averaged = torch.empty_like(h) if keep_bytes >= 0 else None  # s = p W [R, H]
        normaliser, entropy = h.new_empty(2, rows).unbind()  # Z, H: [R]
        logit = h.new_empty(len(targets))
        bounds = _bounds(row, tiles)
        for r, m in zip(tiles, bounds):
            z = torch.mm(h[r], w.T, out=buffer[r] if kept else buffer[: r.stop - r.start])
            top = z.amax(-1)  # [rows of the tile]
            logit[m] = z[row[m] - r.start, targets[m]]
            if averaged is None:
                p = torch.softmax(z, -1, out=spare[: len(z)])
                normaliser[r] = top - p.amax(-1).log_()  # the largest p is exp(top − Z)
                entropy[r] = normaliser[r] - p.mul_(z).sum(-1)  # −Σ p log p = −Σ p (z − Z) = Z − Σ p z
            else:
                p = torch.softmax(z, -1, out=z)
                normaliser[r] = top - p.amax(-1).log_()
                torch.mm(p, w, out=averaged[r])
        if averaged is not None:
            torch.sub(normaliser, torch.linalg.vecdot(h, averaged), out=entropy)  # Σ_v p_v z_v = h · Σ_v p_v W_v
            ctx.save_for_backward(hidden, weight, targets, row, averaged, entropy, buffer if kept else None)
            ctx.temperature, ctx.tiles = temperature, tiles
        return logit - normaliser[row], entropy

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, g: Tensor | None, e: Tensor | None) -> tuple[Tensor | None, ...]:
        """g [M] and e [R] are the gradients of log-prob and entropy; None where a loss does not use one."""
        hidden, weight, targets, row, averaged, entropy, kept = ctx.saved_tensors
        compute = averaged.dtype
        w, h = weight.to(compute), hidden.to(compute) / ctx.temperature
        g = h.new_zeros(len(targets)) if g is None else g
        g_row = h.new_zeros(len(h)).index_add_(0, row, g)  # G [R]
        # −G s; an entropy gradient overwrites it, as it needs p with factors of its own inside the product.
        d_hidden = averaged * -g_row[:, None] if ctx.needs_input_grad[0] else None
        d_weight = torch.empty_like(w) if ctx.needs_input_grad[1] else None
        if e is not None:
            _through_entropy(d_hidden, d_weight, _probabilities(h, w, kept, ctx.tiles), h, w, g_row, e, entropy)
        elif d_weight is not None:
            whole = [slice(0, len(h))] if kept is not None and len(h) else ctx.tiles  # all of p is there: one product
            for r, p in _probabilities(h, w, kept, whole):
                _subtract_product(d_weight, p, h[r] * g_row[r, None], r.start == 0)
        if d_hidden is not None:  # dz/dhidden = W / T; dz/dW = hidden / T = h has the 1/T in it already
            d_hidden.index_add_(0, row, w[targets].mul_(g[:, None])).div_(ctx.temperature)
        if d_weight is not None:
            d_weight = d_weight if len(h) else d_weight.zero_()
            d_weight.index_add_(0, targets, h[row].mul_(g[:, None]))
        d_hidden, d_weight = (None if x is None else x.to(hidden.dtype) for x in (d_hidden, d_weight))
        return d_hidden, d_weight, None, None, None, None, None


def _bounds(row: Tensor, tiles: list[slice]) -> list[slice]:
    """Where each tile's targets lie among the M, as `row` ascends."""
    edges = torch.tensor([r.start for r in tiles] + [r.stop for r in tiles[-1:]], device=row.device)
    return [slice(a, b) for a, b in pairwise(torch.searchsorted(row, edges).tolist())]


def _probabilities(h: Tensor, w: Tensor, kept: Tensor | None, tiles: list[slice]) -> Iterator[tuple[slice, Tensor]]:
    """Each tile's rows with their softmax [rows, V], kept or computed again; not to be written to."""
    buffer = h.new_empty(tiles[0].stop if tiles and kept is None else 0, len(w))
    for r in tiles:
        if kept is not None:
            yield r, kept[r]
        else:
            z = torch.mm(h[r], w.T, out=buffer[: r.stop - r.start])
            yield r, torch.softmax(z, -1, out=z)


def _through_entropy(
    d_hidden: Tensor | None, d_weight: Tensor | None, tiles: Iterator[tuple[slice, Tensor]],
    h: Tensor, w: Tensor, g_row: Tensor, e: Tensor, entropy: Tensor,
) -> None:  # fmt: skip
    """Write the part of both gradients that goes through p, −q W and −qᵀ h with q = p ∘ (G + E (log p + H))."""
    for r, p in tiles:
        q = p.clamp_min(torch.finfo(p.dtype).tiny).log_()  # where p is 0, p log p is 0 too, not NaN
        q.add_(entropy[r, None]).mul_(e[r, None]).add_(g_row[r, None]).mul_(p)
        if d_hidden is not None:
            torch.mm(q, w, out=d_hidden[r]).neg_()
        if d_weight is not None:
            _subtract_product(d_weight, q, h[r], r.start == 0)


def _subtract_product(total: Tensor, p: Tensor, h: Tensor, first: bool) -> None:
    """total [V, H] −= pᵀ h; the first product overwrites what is there."""
    torch.addmm(total, p.T, h, beta=0 if first else 1, alpha=-1, out=total)
