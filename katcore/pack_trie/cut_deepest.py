"""Cuts that take the deepest leaves first: Tree Training's rule (arXiv 2511.00413, § 3.3) in its two readings.

    deepest_first(leaves, budget)   depth-first, of siblings the one above the deepest leaf first: the best runs of that
                                    order, so never more tokens than a new pack whenever one is full
    by_length(leaves, budget)       all leaves by depth, a new pack when one is full

Both take leaves of which none is longer than the budget. They are starts for the repairs of `cut_greedy.py`, so that
ours never repeats more than that rule does.
"""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass, field

import numpy as np

from katcore.pack_trie.cut_exact import consecutive
from katcore.pack_trie.leaves import Leaves
from katcore.pack_trie.tree import Index


def deepest_first(leaves: Leaves, budget: int) -> list[Index]:
    """The best runs of leaves, where siblings are sorted by the deepest leaf below them."""
    order = np.array(_order(leaves), np.int64)
    shared = np.zeros(len(order), np.int64)
    common = _Common(leaves)
    shared[1:] = [common.of(min(a, b), max(a, b)) for a, b in zip(order[:-1].tolist(), order[1:].tolist())]
    return [np.sort(order[run]) for run in consecutive(Leaves(leaves.length[order], shared), budget)]


def by_length(leaves: Leaves, budget: int) -> list[Index]:
    """Leaves by falling length, into the last pack as long as it has room for what they add."""
    common = _Common(leaves)
    lengths = leaves.length.tolist()
    packs: list[list[int]] = []
    load = budget + 1
    for leaf in np.argsort(-leaves.length, kind="stable").tolist():
        pack = packs[-1] if packs else []
        at = bisect(pack, leaf)
        beside = [common.of(min(leaf, k), max(leaf, k)) for k in pack[max(at - 1, 0) : at + 1]]
        load += lengths[leaf] - max(beside, default=0)
        if load <= budget:
            pack.insert(at, leaf)
        else:
            packs.append([leaf])
            load = lengths[leaf]
    return [np.array(pack) for pack in packs]


class _Common:
    """The tokens that two leaves share: the least `shared` between them, from minima over powers of two."""

    def __init__(self, leaves: Leaves) -> None:
        minima = [leaves.shared]
        while (width := 1 << (len(minima) - 1)) * 2 <= len(leaves):
            minima.append(np.minimum(minima[-1][:-width], minima[-1][width:]))
        self.minima = [level.tolist() for level in minima]

    def of(self, a: int, b: int) -> int:
        """Tokens that leaves a < b have in common."""
        level = (b - a).bit_length() - 1
        return int(min(self.minima[level][a + 1], self.minima[level][b + 1 - (1 << level)]))


@dataclass
class _Fork:
    """A node of the tree without its chains: a fork, or a leaf."""

    depth: int  # tokens of its path
    first: int  # number of the first leaf below
    deepest: int = 0  # the longest path through it, in tokens
    children: list[_Fork] = field(default_factory=list)

    def add(self, child: _Fork) -> None:
        """Take in a child whose subtree is complete; forks are completed in depth-first order."""
        self.first = min(self.first, child.first)
        self.deepest = max(self.deepest, child.deepest)
        self.children.append(child)


def _order(leaves: Leaves) -> list[int]:
    """Leaf numbers in depth-first order, of siblings the one above the deepest leaf first."""
    found: list[int] = []
    stack = [_forks(leaves)]
    while stack:
        fork = stack.pop()
        if not fork.children:
            found.append(fork.first)
        stack += sorted(fork.children, key=lambda child: (-child.deepest, child.first), reverse=True)
    return found


def _forks(leaves: Leaves) -> _Fork:
    """The tree without its chains: a fork for every depth at which neighbouring leaves part."""
    root = _Fork(0, 0)
    stack = [root]
    shared = [*leaves.shared.tolist()[1:], 0]
    for leaf, (length, next_shared) in enumerate(zip(leaves.length.tolist(), shared)):
        node = _Fork(length, leaf, length)
        while node.depth > next_shared:
            if stack[-1].depth < next_shared:
                stack.append(_Fork(next_shared, leaf))
            stack[-1].add(node)
            if stack[-1].depth == next_shared:
                break
            node = stack.pop()
    return root
