"""Which tiles of the score matrix hold visible pairs: lists for the kernels that skip the rest.

Legend: Nq queries, Nk keys, Tq query tiles, Tk key tiles.

In depth-first order `end` says the whole mask, and its least and greatest value in a key tile say what to do with the
tile. For queries [i0, i1) and keys [n0, n1):

    skip     i1 <= n0  or  i0 >= max end             no key is before a query, or every subtree has closed
    full     i0 >= n1 - 1  and  i1 <= min end        every query sees every key: no mask
    partial  otherwise                               compare pair by pair

With a window, depths decide too: a tile is skipped when even the nearest pair is `window` apart, and full only when the
farthest pair is nearer. A skipped tile has no visible pair; a partial one may have none (min and max bound a tile, they
do not describe it). Time and memory are O(Nk + Tq · Tk). On a GPU a kernel of ours makes the same lists
(`block_kernel.py`); here they are made with torch on any device.
"""

from __future__ import annotations

import torch
from torch import Tensor

from katkernels.tree_attention.tiles import Blocks, TileList


def classify(
    end: Tensor,  # [Nk] integers
    queries: int,
    q_offset: int = 0,
    *,
    tile_q: int,
    tile_k: int,
    depth: Tensor | None = None,  # [Nk] integers
    window: int | None = None,
) -> Blocks:
    """The lists for queries [q_offset, q_offset + queries) over all keys, on the device of `end`."""
    if end.is_cuda:
        from katkernels.tree_attention.block_kernel import classify_on_gpu

        return classify_on_gpu(end, queries, q_offset, tile_q, tile_k, depth, window)
    return classify_in_torch(end, queries, q_offset, tile_q, tile_k, depth, window)


def classify_in_torch(
    end: Tensor, queries: int, q_offset: int, tile_q: int, tile_k: int, depth: Tensor | None, window: int | None
) -> Blocks:
    """`classify` without a kernel, on any device."""
    keys = len(end)
    i0 = q_offset + torch.arange(0, queries, tile_q, device=end.device)[:, None]  # [Tq, 1]
    i1 = (i0 + tile_q).clamp(max=q_offset + queries)  # clamped: queries that are not there keep no tile from being full
    n0 = torch.arange(0, keys, tile_k, device=end.device)[None, :]  # [1, Tk]
    n1 = n0 + tile_k  # beyond Nk in a ragged last tile, which therefore is never full: kernels mask what it lacks
    least, most = (x[None, :] for x in _bounds(end, tile_k))  # [1, Tk] both
    seen = (i1 > n0) & (i0 < most)
    full = seen & (i0 >= n1 - 1) & (i1 <= least) & (n1 <= keys)
    if window is not None:
        assert depth is not None
        q_least, q_most = (x[:, None] for x in _bounds(depth[q_offset : q_offset + queries], tile_q))
        k_least, k_most = (x[None, :] for x in _bounds(depth, tile_k))
        seen &= q_least - k_most < window
        full &= q_most - k_least < window
    partial = seen & ~full
    return Blocks(tile_q, tile_k, _rows(partial), _rows(full), _rows(partial.T), _rows(full.T))


def _bounds(values: Tensor, tile: int) -> tuple[Tensor, Tensor]:
    """Least and greatest value of each tile, [⌈N / tile⌉] int64 both."""
    values = values.long()
    tiles = -(-len(values) // tile)
    # A ragged last tile is filled with its last value, which changes neither bound.
    padded = torch.cat([values, values[-1:].expand(tiles * tile - len(values))]).view(tiles, tile)
    return padded.amin(1), padded.amax(1)


def _rows(chosen: Tensor) -> TileList:
    """The columns that are chosen in each row, packed to the left."""
    count = chosen.sum(1, dtype=torch.int32)
    order = torch.argsort(~chosen, dim=1, stable=True)  # False sorts first, and stable keeps columns ascending
    behind = torch.arange(chosen.shape[1], device=chosen.device) >= count[:, None]
    return TileList(count, order.masked_fill(behind, 0).to(torch.int32))
