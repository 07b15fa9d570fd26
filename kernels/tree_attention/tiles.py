"""The tiles of a masked attention matrix that are computed, as lists: for each query tile its key tiles, and back."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class TileList:
    """For each row its tiles: `index[r, :count[r]]`, ascending; what follows is 0."""

    count: Tensor  # [rows] int32
    index: Tensor  # [rows, columns] int32


@dataclass(frozen=True)
class Blocks:
    """The tiles of one row of the batch that are computed, from both sides."""

    tile_q: int
    tile_k: int
    partial: TileList  # for each query tile the key tiles that need the mask: [Tq], [Tq, Tk]
    full: TileList  # for each query tile the key tiles that need none
    partial_by_key: TileList  # the same for each key tile: [Tk], [Tk, Tq]
    full_by_key: TileList

    @property
    def pairs(self) -> int:
        """Query-key pairs of the computed tiles, those outside the matrix included."""
        return int(self.partial.count.sum() + self.full.count.sum()) * self.tile_q * self.tile_k
