"""A trie as the list of its leaves: all that a division into packs has to know.

In: a trie. Out: `Leaves`, the length of every root-to-leaf path and what it shares with the one before it, as in the
suffix array's LCP table; the tokens of any set of paths follow from these two columns. Legend: n leaves in depth-first
order. A pack is a sorted array of leaf numbers. Nothing here knows what is trained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from katcore.pack_trie.tree import Index
from katcore.pack_trie.trie import Trie

EQUAL_DEPTH = 24576
"""Depth in tokens at which attention costs as much as the rest of a layer: 6 h with h = 4096, an 8B model."""


@dataclass(frozen=True)
class Leaves:
    """Tokens of each path, and how many of them it shares with the path before it, 0 for the first."""

    length: Index  # [n]
    shared: Index  # [n]

    @classmethod
    def of(cls, trie: Trie) -> Leaves:
        """The leaves of a trie: behind each one follows the first token that its successor does not share with it."""
        last = np.flatnonzero(trie.end == np.arange(1, len(trie) + 1))
        depth = trie.depth.astype(np.int64)
        return cls(depth[last] + 1, np.concatenate([[0], depth[last[:-1] + 1]])[: len(last)])

    def __len__(self) -> int:
        return len(self.length)

    def take(self, chosen: Index) -> Leaves:
        """The leaves `chosen`, ascending numbers: two that follow each other share the least of what lies between."""
        if len(chosen) == 0:
            return Leaves(self.length[:0], self.shared[:0])
        shared = np.zeros(len(chosen), np.int64)
        if len(chosen) > 1:
            shared[1:] = np.minimum.reduceat(self.shared[: chosen[-1] + 1], chosen[:-1] + 1)
        return Leaves(self.length[chosen], shared)

    def joined(self, first: Index) -> Leaves:
        """The leaves with each run from `first[k]` to the next as one leaf: what the run adds to a pack as a whole."""
        shared = self.shared[first]
        new = self.length - self.shared
        return Leaves(np.add.reduceat(new, first) + shared, shared)

    @property
    def cost(self) -> float:
        """Work of a forward and backward pass over the tree, in tokens without attention that would take as long.

        A token's matrix products are about 24 h² FLOPs a layer and its attention 4 h for each token on its path
        (Qwen3-8B: 386 M and 16 k), so that attention weighs as much as all else at a depth of 6 h.
        """
        # Tokens at depths shared .. length − 1 see 1 + depth keys each: half of this is their sum.
        paths = self.length * (self.length + 1) - self.shared * (self.shared + 1)
        return self.tokens + int(paths.sum()) / 2 / EQUAL_DEPTH

    @property
    def tokens(self) -> int:
        """Number of unique tokens on all paths together."""
        return int(self.length.sum() - self.shared.sum())

    def tokens_of(self, pack: Index) -> int:
        """Number of unique tokens of a pack, given as ascending leaf numbers."""
        return self.take(pack).tokens


def total(leaves: Leaves, packs: Iterable[Index]) -> int:
    """Tokens of all packs, repeated ones included."""
    return sum(leaves.tokens_of(pack) for pack in packs)
