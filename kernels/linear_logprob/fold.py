"""Log-probs and entropies on a GPU: cuBLAS products of all rows with a part of the vocabulary, folded by our kernels.

A tile is [R, C]: all rows that some target reads, C columns of the vocabulary, logits in max(fp32, dtype) whatever the
inputs are (a bf16 logit of 20 is wrong by up to 0.06, and so would be its log-prob). Forward: per tile one product and
`fold_tile`, which updates each row's maximum, normaliser, Σ exp(z) z and target logits; no logits are kept. Backward:
per tile the logits again, `logit_gradient` to dz in the inputs' dtype (in place where that is the tile's), and two
products: dW of these columns whole, rounded once, since a tile has all rows; dh summed over tiles in max(fp32, dtype).
So four products of 2 R H V operations in all, about 10 bytes a logit forward and 16 backward beside them, nothing that
grows with R V, and no atomics: the same inputs give the same bits.

Not here: splitting the vocabulary over ranks; rows beyond what an fp32 copy of hidden's gradient allows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from katkernels.linear_logprob.fold_kernel import fold_tile, logit_gradient
from katkernels.linear_logprob.rows import read_rows

TILE_BYTES = 256 << 20
"""Bytes of a tile's logits: at 4,096 rows 16,384 columns of fp32, enough for products at full speed."""

NARROWEST = 256
"""Columns that a tile has at least, whatever its bytes."""


def logprob_fold(
    hidden: Tensor, weight: Tensor, targets: Tensor, row: Tensor, temperature: float, tile_bytes: int = TILE_BYTES
) -> tuple[Tensor, Tensor]:
    """hidden [R, H], weight [V, H], targets and row [M] → logprob [M], entropy [M]."""
    read = read_rows(hidden, targets, row)
    bounds = torch.searchsorted(read.row, torch.arange(len(read.hidden) + 1, device=row.device))
    logprob, entropy = _LinearLogprob.apply(
        read.hidden, weight, read.targets, read.row, bounds, temperature, tile_bytes
    )
    return read.unsorted(logprob), entropy[read.local]


def workspace_bytes(rows: int, size: int, vocabulary: int, dtype: torch.dtype) -> int:
    """Device bytes of both passes beyond inputs, outputs and gradients, for `rows` rows that are read."""
    width: int = torch.promote_types(dtype, torch.float32).itemsize
    half: int = dtype.itemsize
    logits = rows * tile_width(rows, vocabulary, width)
    if half == width:
        return logits * width + 8 * rows * width  # 8: the statistics of a row, both passes
    return logits * (width + half) + rows * size * width + 8 * rows * width  # dz and the sum of dh lie apart


def tile_width(rows: int, vocabulary: int, itemsize: int, tile_bytes: int = TILE_BYTES) -> int:
    """Columns of a tile: tiles of nearly one width, so that no product is a narrow rest."""
    most = max(NARROWEST, tile_bytes // (max(1, rows) * itemsize))
    tiles = -(-vocabulary // most)
    return min(vocabulary, -(-vocabulary // (tiles * NARROWEST)) * NARROWEST)


class _Tiles:
    """The vocabulary in parts, and one buffer in which the logits of a part lie."""

    def __init__(self, hidden: Tensor, weight: Tensor, temperature: float, tile_bytes: int) -> None:
        self.hidden, self.weight, self.temperature = hidden, weight, temperature
        compute = torch.promote_types(hidden.dtype, torch.float32)
        self.width = tile_width(len(hidden), len(weight), compute.itemsize, tile_bytes)
        self.buffer = torch.empty(len(hidden) * self.width, dtype=compute, device=hidden.device)

    def logits(self) -> Iterator[tuple[slice, Tensor]]:
        """The columns of each part, and its logits [R, columns]: valid until the next part."""
        for a in range(0, len(self.weight), self.width):
            part = slice(a, min(a + self.width, len(self.weight)))
            z = self.buffer[: len(self.hidden) * (part.stop - a)].view(len(self.hidden), -1)
            product(self.hidden, self.weight[part].T, z, alpha=1 / self.temperature, beta=0)
            yield part, z


class _LinearLogprob(torch.autograd.Function):  # type: ignore[misc]
    """hidden [R, H], weight [V, H], targets and row [M] with row ascending → logprob [M], entropy [R]."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, row: Tensor, bounds: Tensor,
        temperature: float, tile_bytes: int,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """Fold the tiles into each row's statistics; the normaliser and the entropy [R] stay for the backward pass."""
        # A loss without an entropy term then hands the backward pass None, and its kernel reads no e.
        ctx.set_materialize_grads(False)
        hidden = hidden.contiguous()
        compute = torch.promote_types(hidden.dtype, torch.float32)
        # The lowest finite number, not −inf: differences from it are numbers.
        top = torch.full((len(hidden),), torch.finfo(compute).min, dtype=compute, device=hidden.device)
        total, weighted = torch.zeros(2, len(hidden), dtype=compute, device=hidden.device).unbind()
        logit = torch.empty(len(targets), dtype=compute, device=hidden.device)
        if len(hidden):
            for part, z in _Tiles(hidden, weight, temperature, tile_bytes).logits():
                with torch.cuda.device_of(z):
                    fold_tile[(len(z),)](
                        z, top, total, weighted, bounds, targets, logit, part.start, z.shape[1],
                        BLOCK=_block(z.shape[1]), num_warps=8,
                    )  # fmt: skip
        normaliser = top + total.log()
        entropy = total.log() - weighted / total  # Z − Σ p z, where `top` cancels
        ctx.save_for_backward(hidden, weight, targets, row, bounds, normaliser, entropy)
        ctx.temperature, ctx.tile_bytes = temperature, tile_bytes
        return logit - normaliser[row], entropy

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, g: Tensor | None, e: Tensor | None) -> tuple[Tensor | None, ...]:
        """g [M] and e [R] are the gradients of log-prob and entropy; None where a loss does not use one."""
        hidden, weight, targets, row, bounds, normaliser, entropy = ctx.saved_tensors
        # dz/dhidden = W / T: the factor 1/T goes into M numbers and not into R · V.
        g = normaliser.new_zeros(len(targets)) if g is None else g / ctx.temperature
        e = None if e is None else e / ctx.temperature
        g_row = torch.zeros_like(normaliser).index_add_(0, row, g)
        d_hidden = torch.zeros_like(hidden, dtype=normaliser.dtype) if ctx.needs_input_grad[0] else None
        d_weight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        if len(hidden):
            tiles = _Tiles(hidden, weight, ctx.temperature, ctx.tile_bytes)
            apart = torch.empty_like(tiles.buffer, dtype=hidden.dtype) if hidden.dtype != normaliser.dtype else None
            for part, z in tiles.logits():
                dz = z if apart is None else apart[: z.numel()].view_as(z)
                block = _block(z.shape[1])
                with torch.cuda.device_of(z):
                    logit_gradient[(len(z), triton.cdiv(z.shape[1], block))](
                        z, dz, normaliser, entropy, g_row, e, bounds, targets, g, part.start, z.shape[1],
                        ENTROPY=e is not None, BLOCK=block, num_warps=8,
                    )  # fmt: skip
                if d_hidden is not None:
                    product(dz, weight[part], d_hidden, alpha=1, beta=1)
                if d_weight is not None:
                    torch.mm(dz.T, hidden, out=d_weight[part])
        elif d_weight is not None:
            d_weight.zero_()
        return None if d_hidden is None else d_hidden.to(hidden.dtype), d_weight, None, None, None, None, None


def product(a: Tensor, b: Tensor, out: Tensor, *, alpha: float, beta: float) -> None:
    """out = alpha · a b + beta · out, summed in out's dtype, which may be fp32 for half-precision a and b."""
    if a.dtype == out.dtype:
        torch.addmm(out, a, b, alpha=alpha, beta=beta, out=out)
    elif a.is_cuda:
        torch.addmm(out, a, b, out_dtype=out.dtype, alpha=alpha, beta=beta, out=out)
    else:  # only CUDA has the product with a wider result
        torch.addmm(out, a.to(out.dtype), b.to(out.dtype), alpha=alpha, beta=beta, out=out)


def _block(columns: int) -> int:
    """Columns that a program takes at once: a power of two, as Triton's ranges must be."""
    return min(4096, 1 << (columns - 1).bit_length())
