"""The Triton kernels between the matrix products: fold a tile of logits into row statistics, turn it into its gradient.

Legend: a tile holds `columns` logits of each row, those of the vocabulary from `first` on. Row statistics are kept for
the online softmax: top = max z, total = Σ exp(z − top), weighted = Σ exp(z − top) (z − top). The targets of row r are
those at bounds[r] up to bounds[r + 1]. With TRITON_INTERPRET=1 in the environment before triton is imported, both run
on CPU tensors, slowly.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit  # type: ignore[untyped-decorator]
def fold_tile(
    z: tl.tensor,  # [R, columns]
    top: tl.tensor,  # [R], this and the next two are updated
    total: tl.tensor,
    weighted: tl.tensor,
    bounds: tl.tensor,  # [R + 1]
    targets: tl.tensor,  # [M]
    logit: tl.tensor,  # [M], written where the target lies in this tile
    first: tl.tensor,
    columns: tl.tensor,
    BLOCK: tl.constexpr,
) -> None:
    """Take a tile into the statistics of its rows, one program a row; a new maximum shrinks the sums so far."""
    r = tl.program_id(0)
    z += r.to(tl.int64) * columns
    high, sum_e, sum_ed = tl.load(top + r), tl.load(total + r), tl.load(weighted + r)
    for start in range(0, columns, BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(z + at, mask=at < columns, other=float("-inf"))
        new = tl.maximum(high, tl.max(x, 0))
        d = tl.where(at < columns, x - new, 0.0)  # 0 beyond the tile: e · d would be 0 · −inf = NaN
        e = tl.where(at < columns, tl.exp(d), 0.0)
        shrink = tl.exp(high - new)
        # Σ e^(z − new) (z − new) = shrink · Σ e^(z − high) ((z − high) + (high − new)): needs the old sum_e.
        sum_ed = shrink * (sum_ed + sum_e * (high - new)) + tl.sum(e * d, 0)
        sum_e = shrink * sum_e + tl.sum(e, 0)
        high = new
    tl.store(top + r, high)
    tl.store(total + r, sum_e)
    tl.store(weighted + r, sum_ed)
    for m in range(tl.load(bounds + r), tl.load(bounds + r + 1)):
        column = tl.load(targets + m) - first
        if (column >= 0) & (column < columns):
            tl.store(logit + m, tl.load(z + column))


@triton.jit  # type: ignore[untyped-decorator]
def logit_gradient(
    z: tl.tensor,  # [R, columns]
    dz: tl.tensor,  # [R, columns], may be z
    normaliser: tl.tensor,  # [R], logsumexp of the whole row
    entropy: tl.tensor,  # [R]
    g_row: tl.tensor,  # [R], Σ_m g_m
    e_row: tl.tensor,  # [R], Σ_m e_m; not read without ENTROPY
    bounds: tl.tensor,  # [R + 1]
    targets: tl.tensor,  # [M]
    g: tl.tensor,  # [M]
    first: tl.tensor,
    columns: tl.tensor,
    ENTROPY: tl.constexpr,
    BLOCK: tl.constexpr,
) -> None:
    """dz = Σ_m g_m onehot(t_m) − p ∘ (Σ_m g_m + Σ_m e_m (log p + H)), for one row and BLOCK columns a program."""
    r = tl.program_id(0)
    at = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    here = r.to(tl.int64) * columns + at
    log_p = tl.load(z + here, mask=at < columns, other=0.0) - tl.load(normaliser + r)
    factor = tl.load(g_row + r)
    if ENTROPY:
        factor += tl.load(e_row + r) * (log_p + tl.load(entropy + r))
    out = -tl.exp(log_p) * factor
    for m in range(tl.load(bounds + r), tl.load(bounds + r + 1)):
        out += tl.where(at == tl.load(targets + m) - first, tl.load(g + m), 0.0)
    tl.store(dz + here, out.to(dz.dtype.element_ty), mask=at < columns)
