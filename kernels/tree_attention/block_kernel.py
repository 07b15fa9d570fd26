"""`blocks.classify` as two small Triton kernels: the same lists without a [Tq, Tk] matrix or a sort.

Each program of the second kernel owns one row of a list, walks the tiles of the other side and packs the chosen ones by
a running count.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from katkernels.tree_attention.tiles import Blocks, TileList

STEP = 128  # tiles of the other side that a program looks at together


@triton.jit(do_not_specialize=["size"])  # type: ignore[untyped-decorator]
def _bounds_kernel(values, least, most, size, TILE: tl.constexpr) -> None:  # type: ignore[no-untyped-def]
    """least[t], most[t] = the bounds of values[t · TILE : (t + 1) · TILE]."""
    tile = tl.program_id(0)
    at = tile * TILE + tl.arange(0, TILE)
    value = tl.load(values + tl.minimum(at, size - 1))  # the last value repeated changes no bound
    tl.store(least + tile, tl.min(value, 0))
    tl.store(most + tile, tl.max(value, 0))


@triton.jit(do_not_specialize=["queries", "keys", "q_offset", "window", "columns"])  # type: ignore[untyped-decorator]
def _rows_kernel(  # type: ignore[no-untyped-def]
    end_least, end_most, q_least, q_most, k_least, k_most,
    partial_count, partial_index, full_count, full_index,
    queries, keys, q_offset, window, columns,
    TILE_Q: tl.constexpr, TILE_K: tl.constexpr, WINDOW: tl.constexpr, BY_KEY: tl.constexpr, STEP: tl.constexpr,
) -> None:  # fmt: skip
    """Write one row of the partial and of the full list; under BY_KEY rows are key tiles and columns query tiles."""
    row = tl.program_id(0)
    partials = tl.zeros((), tl.int32)
    fulls = tl.zeros((), tl.int32)
    for start in range(0, columns, STEP):
        column = start + tl.arange(0, STEP)
        inside = column < columns
        tile_q = column if BY_KEY else row + tl.zeros((STEP,), tl.int32)
        tile_k = row + tl.zeros((STEP,), tl.int32) if BY_KEY else column
        i0 = q_offset + tile_q * TILE_Q
        i1 = tl.minimum(i0 + TILE_Q, q_offset + queries)
        n0 = tile_k * TILE_K
        n1 = n0 + TILE_K
        seen = inside & (i1 > n0) & (i0 < tl.load(end_most + tile_k, mask=inside, other=0))
        full = seen & (i0 >= n1 - 1) & (i1 <= tl.load(end_least + tile_k, mask=inside, other=0)) & (n1 <= keys)
        if WINDOW:
            nearest = tl.load(q_least + tile_q, mask=inside, other=0) - tl.load(k_most + tile_k, mask=inside, other=0)
            farthest = tl.load(q_most + tile_q, mask=inside, other=0) - tl.load(k_least + tile_k, mask=inside, other=0)
            seen = seen & (nearest < window)
            full = full & (farthest < window)
        partial = seen & (full == 0)
        flag = partial.to(tl.int32)  # its running sum counts the tile itself: its place is one less
        tl.store(partial_index + row * columns + partials + tl.cumsum(flag, 0) - 1, column, mask=partial)
        partials += tl.sum(flag, 0)
        flag = full.to(tl.int32)
        tl.store(full_index + row * columns + fulls + tl.cumsum(flag, 0) - 1, column, mask=full)
        fulls += tl.sum(flag, 0)
    tl.store(partial_count + row, partials)
    tl.store(full_count + row, fulls)


def classify_on_gpu(
    end: Tensor, queries: int, q_offset: int, tile_q: int, tile_k: int, depth: Tensor | None, window: int | None
) -> Blocks:
    """What `blocks.classify` gives; tiles must be powers of two."""
    bounds = _bounds(end, tile_k)
    if window is None:
        bounds += bounds + bounds  # never read
    else:
        assert depth is not None
        bounds += _bounds(depth[q_offset : q_offset + queries], tile_q) + _bounds(depth, tile_k)
    sides = []
    for by_key in (False, True):
        rows, columns = -(-queries // tile_q), -(-len(end) // tile_k)
        if by_key:
            rows, columns = columns, rows
        lists = [_empty(rows, columns, end.device) for _ in range(2)]
        _launch(bounds, lists, queries, len(end), q_offset, window, tile_q, tile_k, by_key)
        sides += lists
    return Blocks(tile_q, tile_k, *sides)


def _launch(
    bounds: tuple[Tensor, ...], lists: list[TileList], queries: int, keys: int, q_offset: int,
    window: int | None, tile_q: int, tile_k: int, by_key: bool,
) -> None:  # fmt: skip
    partial, full = lists
    rows, columns = partial.index.shape
    kernel: Any = _rows_kernel[(rows,)]
    kernel(
        *bounds, partial.count, partial.index, full.count, full.index, queries, keys, q_offset, window or 0, columns,
        TILE_Q=tile_q, TILE_K=tile_k, WINDOW=window is not None, BY_KEY=by_key, STEP=STEP,
    )  # fmt: skip


def _empty(rows: int, columns: int, device: torch.device) -> TileList:
    return TileList(
        torch.empty(rows, dtype=torch.int32, device=device),
        torch.zeros(rows, columns, dtype=torch.int32, device=device),
    )


def _bounds(values: Tensor, tile: int) -> tuple[Tensor, ...]:
    """Least and greatest value of each tile, int32."""
    tiles = -(-len(values) // tile)
    least, most = (torch.empty(tiles, dtype=torch.int32, device=values.device) for _ in range(2))
    kernel: Any = _bounds_kernel[(tiles,)]
    kernel(values.int().contiguous(), least, most, len(values), TILE=tile)
    return least, most
