"""Tree attention in Triton: only tiles with visible pairs are computed, one int per key says who sees it.

Legend: Nq queries, Nk keys, H query heads, Hkv key heads, D head size; M queries and N keys in a tile.

Forward: a program owns M queries of one head and walks two lists of key tiles: those that all its queries see whole
(no mask), and those where pairs are compared (j ≤ i < end[j], and depths under a window). Softmax is online (Milakov
and Gimelshein 2018, as in FlashAttention), in base 2, sums in fp32; the log-sum-exp of each query is kept. Backward,
with delta = Σ_d out · d_out = Σ_j p_j (d_out vᵀ)_j, the term by which a softmax's gradients sum to 0:

    p = 2^(s − lse)    d_v = pᵀ d_out    d_s = p · (d_out vᵀ − delta)    d_q = d_s k · scale    d_k = d_sᵀ q · scale

Base 2 is in s and lse alone (s = q kᵀ · scale · log2 e): p is the same softmax, so gradients take `scale` as it is.
d_q by query tiles as in the forward; d_k and d_v by key tiles over the transposed lists, where one program adds up the
query heads that share its key head. No atomics: results are the same in every run.

These are the kernels alone; `triton_backend.py` chooses tiles and calls them. Every tensor is contiguous [N, heads, D].
"""

from __future__ import annotations

import triton
import triton.language as tl

SIZES = ["queries", "keys", "q_offset", "window", "columns"]  # a row of another length must not compile anew


@triton.jit  # type: ignore[untyped-decorator]
def _load_rows(base, rows, size, head, HEADS, D: tl.constexpr):  # type: ignore[no-untyped-def]
    """[rows, D] of a tensor [size, HEADS, D], zeros beyond its end."""
    at = (rows.to(tl.int64) * HEADS + head)[:, None] * D + tl.arange(0, D)[None, :]
    return tl.load(base + at, mask=(rows < size)[:, None], other=0.0)


@triton.jit  # type: ignore[untyped-decorator]
def _store_rows(base, rows, size, head, HEADS, value, D: tl.constexpr):  # type: ignore[no-untyped-def]
    """Write `value` [rows, D] into a tensor [size, HEADS, D], in its dtype; rows beyond its end are dropped."""
    at = (rows.to(tl.int64) * HEADS + head)[:, None] * D + tl.arange(0, D)[None, :]
    tl.store(base + at, value.to(base.dtype.element_ty), mask=(rows < size)[:, None])


@triton.jit  # type: ignore[untyped-decorator]
def _dot(a, b, PRECISION: tl.constexpr):  # type: ignore[no-untyped-def]
    """a b in fp32; PRECISION "interpreted": Triton's interpreter would multiply the bits of bf16 as integers."""
    if PRECISION == "interpreted":
        return tl.dot(a.to(tl.float32), b.to(tl.float32))
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit  # type: ignore[untyped-decorator]
def _visible(i, j, keys, end, depth, window, WINDOW: tl.constexpr):  # type: ignore[no-untyped-def]
    """[M, N]: which of queries i [M] see which of keys j [N]."""
    inside = j < keys
    ends = tl.load(end + j, mask=inside, other=0)  # a key beyond the last is seen by nobody
    seen = (j[None, :] <= i[:, None]) & (i[:, None] < ends[None, :])
    if WINDOW:
        near = tl.load(depth + j, mask=inside, other=0) + window
        # A tile's rows beyond the last query would read beyond `depth`; their results are never stored.
        seen = seen & (tl.load(depth + tl.minimum(i, keys - 1))[:, None] < near[None, :])
    return seen


@triton.jit  # type: ignore[untyped-decorator]
def _forward_tiles(  # type: ignore[no-untyped-def]
    acc, total, top, q_tile, i, k, v, end, depth, index, count, keys, window, kv_head, factor,
    KV_HEADS: tl.constexpr, D: tl.constexpr, N: tl.constexpr,
    MASKED: tl.constexpr, WINDOW: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Fold the key tiles index[:count] into acc [M, D], total [M] of exponentials and top [M], the greatest scores."""
    for n in range(count):
        j = tl.load(index + n) * N + tl.arange(0, N)
        k_tile = _load_rows(k, j, keys, kv_head, KV_HEADS, D)
        scores = _dot(q_tile, tl.trans(k_tile), PRECISION) * factor  # [M, N]
        if MASKED:
            seen = _visible(i, j, keys, end, depth, window, WINDOW)
            scores = tl.where(seen, scores, float("-inf"))
        higher = tl.maximum(top, tl.max(scores, 1))
        # A row that has seen no key yet keeps -inf; 0 in its place keeps inf − inf out of the exponent.
        level = tl.where(higher == float("-inf"), 0.0, higher) if MASKED else higher
        p = tl.exp2(scores - level[:, None])
        shrink = tl.exp2(top - level)
        total = total * shrink + tl.sum(p, 1)
        v_tile = _load_rows(v, j, keys, kv_head, KV_HEADS, D)
        # Tensor cores multiply in the inputs' dtype, so p is rounded to it; acc and total stay fp32.
        acc = acc * shrink[:, None] + _dot(p.to(v_tile.dtype), v_tile, PRECISION)
        top = higher
    return acc, total, top


@triton.jit(do_not_specialize=SIZES)  # type: ignore[untyped-decorator]
def forward_kernel(  # type: ignore[no-untyped-def]
    q, k, v, out, lse, end, depth,
    partial_count, partial_index, full_count, full_index,
    queries, keys, q_offset, window, columns, scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
    WINDOW: tl.constexpr, PRECISION: tl.constexpr,
) -> None:  # fmt: skip
    """Write out [Nq, H, D] and lse [H, Nq], base 2. Grid: (query tiles, H)."""
    tile = tl.num_programs(0) - 1 - tl.program_id(0)  # late queries have the most keys: start them first
    head = tl.program_id(1)
    kv_head = head // (HEADS // KV_HEADS)
    row = tile * M + tl.arange(0, M)
    i = row + q_offset
    factor = scale * 1.4426950408889634  # log2(e)
    q_tile = _load_rows(q, row, queries, head, HEADS, D)
    acc = tl.zeros((M, D), tl.float32)
    total = tl.zeros((M,), tl.float32)
    top = tl.full((M,), float("-inf"), tl.float32)
    acc, total, top = _forward_tiles(
        acc, total, top, q_tile, i, k, v, end, depth, full_index + tile * columns, tl.load(full_count + tile),
        keys, window, kv_head, factor, KV_HEADS, D, N, False, WINDOW, PRECISION,
    )  # fmt: skip
    acc, total, top = _forward_tiles(
        acc, total, top, q_tile, i, k, v, end, depth, partial_index + tile * columns, tl.load(partial_count + tile),
        keys, window, kv_head, factor, KV_HEADS, D, N, True, WINDOW, PRECISION,
    )  # fmt: skip
    total = tl.where(row < queries, total, 1.0)  # rows beyond the last query may have seen no key: not 0 / 0
    _store_rows(out, row, queries, head, HEADS, acc / total[:, None], D)
    tl.store(lse + head * queries + row, top + tl.log2(total), mask=row < queries)


@triton.jit(do_not_specialize=["queries"])  # type: ignore[untyped-decorator]
def delta_kernel(  # type: ignore[no-untyped-def]
    out, d_out, delta, queries, HEADS: tl.constexpr, D: tl.constexpr, M: tl.constexpr
) -> None:
    """delta [H, Nq] fp32 = Σ_d out · d_out. Grid: (query tiles, H)."""
    head = tl.program_id(1)
    row = tl.program_id(0) * M + tl.arange(0, M)
    a = _load_rows(out, row, queries, head, HEADS, D).to(tl.float32)
    b = _load_rows(d_out, row, queries, head, HEADS, D).to(tl.float32)
    tl.store(delta + head * queries + row, tl.sum(a * b, 1), mask=row < queries)


@triton.jit  # type: ignore[untyped-decorator]
def _d_q_tiles(  # type: ignore[no-untyped-def]
    d_q, q_tile, d_out_tile, lse, delta, i, k, v, end, depth, index, count, keys, window, kv_head, factor,
    KV_HEADS: tl.constexpr, D: tl.constexpr, N: tl.constexpr,
    MASKED: tl.constexpr, WINDOW: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add the key tiles index[:count] into d_q [M, D], `scale` still to come."""
    for n in range(count):
        j = tl.load(index + n) * N + tl.arange(0, N)
        k_tile = _load_rows(k, j, keys, kv_head, KV_HEADS, D)
        v_tile = _load_rows(v, j, keys, kv_head, KV_HEADS, D)
        scores = _dot(q_tile, tl.trans(k_tile), PRECISION) * factor
        if MASKED:
            scores = tl.where(_visible(i, j, keys, end, depth, window, WINDOW), scores, float("-inf"))
        p = tl.exp2(scores - lse[:, None])
        d_p = _dot(d_out_tile, tl.trans(v_tile), PRECISION)
        d_s = (p * (d_p - delta[:, None])).to(k_tile.dtype)
        d_q += _dot(d_s, k_tile, PRECISION)
    return d_q


@triton.jit(do_not_specialize=SIZES)  # type: ignore[untyped-decorator]
def d_q_kernel(  # type: ignore[no-untyped-def]
    q, k, v, d_out, lse, delta, d_q, end, depth,
    partial_count, partial_index, full_count, full_index,
    queries, keys, q_offset, window, columns, scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
    WINDOW: tl.constexpr, PRECISION: tl.constexpr,
) -> None:  # fmt: skip
    """Write d_q [Nq, H, D]. Grid: (query tiles, H)."""
    tile = tl.num_programs(0) - 1 - tl.program_id(0)
    head = tl.program_id(1)
    kv_head = head // (HEADS // KV_HEADS)
    row = tile * M + tl.arange(0, M)
    i = row + q_offset
    factor = scale * 1.4426950408889634
    q_tile = _load_rows(q, row, queries, head, HEADS, D)
    d_out_tile = _load_rows(d_out, row, queries, head, HEADS, D)
    lse_row = tl.load(lse + head * queries + row, mask=row < queries, other=float("inf"))
    delta_row = tl.load(delta + head * queries + row, mask=row < queries, other=0.0)
    acc = tl.zeros((M, D), tl.float32)
    acc = _d_q_tiles(
        acc, q_tile, d_out_tile, lse_row, delta_row, i, k, v, end, depth,
        full_index + tile * columns, tl.load(full_count + tile), keys, window, kv_head, factor,
        KV_HEADS, D, N, False, WINDOW, PRECISION,
    )  # fmt: skip
    acc = _d_q_tiles(
        acc, q_tile, d_out_tile, lse_row, delta_row, i, k, v, end, depth,
        partial_index + tile * columns, tl.load(partial_count + tile), keys, window, kv_head, factor,
        KV_HEADS, D, N, True, WINDOW, PRECISION,
    )  # fmt: skip
    _store_rows(d_q, row, queries, head, HEADS, acc * scale, D)


@triton.jit  # type: ignore[untyped-decorator]
def _d_kv_tiles(  # type: ignore[no-untyped-def]
    d_k, d_v, k_tile, v_tile, j, q, d_out, lse, delta, end, depth, index, count,
    queries, keys, q_offset, window, head, factor,
    HEADS: tl.constexpr, D: tl.constexpr, M: tl.constexpr,
    MASKED: tl.constexpr, WINDOW: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add the query tiles index[:count] of one query head into d_k and d_v [N, D], `scale` of d_k still to come."""
    for m in range(count):
        row = tl.load(index + m) * M + tl.arange(0, M)
        q_tile = _load_rows(q, row, queries, head, HEADS, D)
        d_out_tile = _load_rows(d_out, row, queries, head, HEADS, D)
        # A row beyond the last query has lse = inf, so p = 0.
        lse_row = tl.load(lse + head * queries + row, mask=row < queries, other=float("inf"))
        delta_row = tl.load(delta + head * queries + row, mask=row < queries, other=0.0)
        scores = _dot(q_tile, tl.trans(k_tile), PRECISION) * factor
        if MASKED:
            seen = _visible(row + q_offset, j, keys, end, depth, window, WINDOW)
            scores = tl.where(seen, scores, float("-inf"))
        p = tl.exp2(scores - lse_row[:, None])
        d_v += _dot(tl.trans(p.to(d_out_tile.dtype)), d_out_tile, PRECISION)
        d_p = _dot(d_out_tile, tl.trans(v_tile), PRECISION)
        d_s = (p * (d_p - delta_row[:, None])).to(q_tile.dtype)
        d_k += _dot(tl.trans(d_s), q_tile, PRECISION)
    return d_k, d_v


@triton.jit(do_not_specialize=SIZES)  # type: ignore[untyped-decorator]
def d_kv_kernel(  # type: ignore[no-untyped-def]
    q, k, v, d_out, lse, delta, d_k, d_v, end, depth,
    partial_count, partial_index, full_count, full_index,
    queries, keys, q_offset, window, columns, scale,
    HEADS: tl.constexpr, KV_HEADS: tl.constexpr, D: tl.constexpr, M: tl.constexpr, N: tl.constexpr,
    WINDOW: tl.constexpr, PRECISION: tl.constexpr,
) -> None:  # fmt: skip
    """Write d_k and d_v [Nk, Hkv, D]; the lists are those by key tile. Grid: (key tiles, Hkv)."""
    tile = tl.program_id(0)  # early keys have the most queries
    kv_head = tl.program_id(1)
    j = tile * N + tl.arange(0, N)
    factor = scale * 1.4426950408889634
    k_tile = _load_rows(k, j, keys, kv_head, KV_HEADS, D)
    v_tile = _load_rows(v, j, keys, kv_head, KV_HEADS, D)
    d_k_tile = tl.zeros((N, D), tl.float32)
    d_v_tile = tl.zeros((N, D), tl.float32)
    fulls = tl.load(full_count + tile)
    partials = tl.load(partial_count + tile)
    for member in range(HEADS // KV_HEADS):
        head = kv_head * (HEADS // KV_HEADS) + member
        d_k_tile, d_v_tile = _d_kv_tiles(
            d_k_tile, d_v_tile, k_tile, v_tile, j, q, d_out, lse, delta, end, depth, full_index + tile * columns, fulls,
            queries, keys, q_offset, window, head, factor, HEADS, D, M, False, WINDOW, PRECISION,
        )  # fmt: skip
        d_k_tile, d_v_tile = _d_kv_tiles(
            d_k_tile, d_v_tile, k_tile, v_tile, j, q, d_out, lse, delta, end, depth, partial_index + tile * columns,
            partials, queries, keys, q_offset, window, head, factor, HEADS, D, M, True, WINDOW, PRECISION,
        )  # fmt: skip
    _store_rows(d_k, j, keys, kv_head, KV_HEADS, d_k_tile * scale, D)
    _store_rows(d_v, j, keys, kv_head, KV_HEADS, d_v_tile, D)
