"""The tiles of a masked attention matrix that are computed, as lists: for each query tile its key tiles, and back.

Legend: Tq query tiles, Tk key tiles.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TileList:
    """The tiles of each row r of the score matrix: `index[r, :count[r]]`, ascending; the entries after them are 0."""

    count: Tensor  # [rows] int32
    index: Tensor  # [rows, columns] int32


@dataclass(frozen=True)
class Blocks:
    """The tiles of one row of the batch that are computed, listed by query tile and by key tile."""

    tile_q: int  # queries of a tile
    tile_k: int  # keys of a tile
    partial: TileList  # for each query tile the key tiles that need the mask: [Tq], [Tq, Tk]
    full: TileList  # for each query tile the key tiles that need none
    partial_by_key: TileList  # the same for each key tile: [Tk], [Tk, Tq]
    full_by_key: TileList

    @property
    def pairs(self) -> int:
        """Number of query-key pairs in the computed tiles, those of ragged tiles beyond the matrix included."""
        return int(self.partial.count.sum() + self.full.count.sum()) * self.tile_q * self.tile_k
