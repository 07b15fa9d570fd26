"""Cut a tree that exceeds the budget into packs of whole paths that repeat as few tokens as possible (method.md § 6.6).

In: a tree as its leaves, and the budget. Out: a `Cut`: for each pack the leaves that it has. A pack is the tree of its
leaves' paths, so it is connected and contains the root; what several packs contain is computed in each of them. A path
that is longer than the budget is alone in a pack. The method is chosen by size:

    any size     the best cut into runs of consecutive leaves; done when it reaches the lower bound
    ≤ 12 leaves  dynamic programming over sets of leaves: exact
    more         that, greedy insertion and the deepest leaves first, then repairs of the best two, a few packs at a
                 time, each of them exact

What is trained in which pack is decided by `pieces.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from katcore.pack_trie.cut_deepest import by_length, deepest_first
from katcore.pack_trie.cut_exact import MOST_LEAVES, consecutive, lower_bound, partition
from katcore.pack_trie.cut_greedy import improve, insertion, together
from katcore.pack_trie.leaves import Leaves, total
from katcore.pack_trie.tree import Index

REPAIRS = 200
"""The most repairs of one tree's cut: below 0.5 s at 10,000 leaves, below 0.2 s at 100."""


@dataclass(frozen=True)
class Cut:
    """A tree divided into P packs. No cut has fewer than `bound` tokens: the cut is exact where it has just these."""

    packs: list[Index]  # [P] sorted leaf numbers, the packs by their first leaf
    sizes: list[int]  # [P] tokens of each
    costs: list[float]  # [P] work of each, in tokens
    unique: int  # tokens of the tree
    bound: int
    too_long: int  # paths above the budget, each alone

    @classmethod
    def of(cls, leaves: Leaves, packs: list[Index], bound: int, too_long: int = 0) -> Cut:
        """The cut into these packs, sorted by their first leaves, with their tokens and work."""
        packs = sorted(packs, key=lambda pack: int(pack[0]))
        parts = [leaves.take(pack) for pack in packs]
        sizes, costs = [part.tokens for part in parts], [part.cost for part in parts]
        return cls(packs, sizes, costs, leaves.tokens, bound, too_long)

    @property
    def repeated(self) -> int:
        """Tokens that are computed although another pack has them."""
        return sum(self.sizes) - self.unique

    @property
    def exact(self) -> bool:
        """Whether it is proved that nothing repeats fewer tokens."""
        return sum(self.sizes) == self.bound


def whole(leaves: Leaves) -> Cut:
    """The cut that leaves the tree in one pack."""
    return Cut.of(leaves, [np.arange(len(leaves))], leaves.tokens)


def cut(leaves: Leaves, budget: int, repairs: int = REPAIRS) -> Cut:
    """The tree in packs of at most `budget` tokens, longer paths alone; one pack when the tree has no more tokens.

    `repairs` bounds the attempts to improve a cut that is not proved to be the best.
    """
    if leaves.tokens <= budget:
        return whole(leaves)
    alone = np.flatnonzero(leaves.length > budget)
    short = np.flatnonzero(leaves.length <= budget)
    some = leaves.take(short)
    packs, bound = _cut(some, budget, repairs)
    packs = [short[pack] for pack in packs] + [np.array([leaf]) for leaf in alone.tolist()]
    return Cut.of(leaves, packs, bound + int(leaves.length[alone].sum()), len(alone))


def _cut(leaves: Leaves, budget: int, repairs: int) -> tuple[list[Index], int]:
    """Packs of leaves none of which exceeds the budget, and a number of tokens that no cut goes below."""
    bound = lower_bound(leaves, budget)
    packs = consecutive(leaves, budget)
    if total(leaves, packs) == bound:
        return together(leaves, packs, budget), bound
    if len(leaves) <= MOST_LEAVES:
        packs = partition(leaves, budget)
        return packs, total(leaves, packs)
    starts = [packs, insertion(leaves, budget, nearest=True), insertion(leaves, budget, nearest=False)]
    starts += [deepest_first(leaves, budget), by_length(leaves, budget)]
    starts.sort(key=lambda found: total(leaves, found))
    ends = [improve(leaves, start, budget, bound, repairs) for start in starts[:2]]
    return min(ends, key=lambda found: total(leaves, found)), bound
