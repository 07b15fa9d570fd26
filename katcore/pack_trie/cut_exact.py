"""The cut that repeats the fewest tokens, found exactly where that is affordable, and a bound on it everywhere.

    consecutive(leaves, budget)   the best among cuts into runs of consecutive leaves: O(n), any size
    partition(leaves, budget)     the best of all cuts: dynamic programming over sets of leaves, O(4^n) in numpy, n ≤ 12
    lower_bound(leaves, budget)   no cut has fewer tokens: O(n), any size

All take leaves of which none is longer than the budget, and among cuts of equal tokens prefer fewer packs. With many
leaves the problem is bin packing (a star is nothing else), so that no exact method is affordable for all of them.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import numpy as np

from katcore.pack_trie.leaves import Leaves
from katcore.pack_trie.tree import Index

MOST_LEAVES = 12
"""Largest input of `partition`: about 20 ms; every further leaf takes two to four times as long."""

STEPS = 64
"""In how many grades `partition` tells how full a pack is."""


def consecutive(leaves: Leaves, budget: int) -> list[Index]:
    """Runs of consecutive leaves with the fewest tokens.

    f(j) = min over i of f(i) + shared[i], where leaves i..j-1 are the last pack: the total is that of the uncut tree
    plus, for each cut, what the two leaves at it share. The first possible i only rises, so a queue of candidates
    with rising f keeps each step O(1).
    """
    n = len(leaves)
    if n == 0:
        return []
    new = np.concatenate([[0], np.cumsum(leaves.length - leaves.shared)]).tolist()
    # Tokens first, then the number of packs: there are at most n, so that they never outweigh a token.
    again = (leaves.shared * (n + 1) + 1).tolist()
    shared = leaves.shared.tolist()
    cost = [0] * (n + 1)
    begin = [0] * (n + 1)
    queue: deque[tuple[int, int]] = deque()  # (cost, i)
    for j in range(1, n + 1):
        value = cost[j - 1] + again[j - 1]
        while queue and queue[-1][0] >= value:  # a later start that costs no more stays possible for longer
            queue.pop()
        queue.append((value, j - 1))
        # Tokens of leaves i .. j − 1: what each adds, and of the first one also what it shares with leaf i − 1.
        while new[j] - new[queue[0][1]] + shared[queue[0][1]] > budget:
            queue.popleft()
        cost[j], begin[j] = queue[0]
    bounds = [n]
    while bounds[-1]:
        bounds.append(begin[bounds[-1]])
    return [np.arange(a, b) for a, b in pairwise(bounds[::-1])]


def partition(leaves: Leaves, budget: int) -> list[Index]:
    """The division of all leaves into sets with the fewest tokens.

    best[R] = min over sets S of R with R's first leaf of tokens(S) + best[R without S]. Sets are bit masks; they are
    treated by their first leaf from the last one on, all R with one first leaf at a time. Of equal divisions it takes
    one whose packs are filled unevenly: few packs, and room where something may still be put.
    """
    n = len(leaves)
    tokens = _tokens_of_sets(leaves)
    best = np.zeros(1, np.int64)  # of the sets of leaves after i; bit 0 is leaf i + 1
    chosen: list[Index] = []
    for i in range(n - 1, -1, -1):
        sets = tokens[(np.arange(len(best)) << (i + 1)) | (1 << i)]
        # Tokens first: what follows them is at most STEPS² a pack, so below n + 1 times that for all. It is a full
        # STEPS² for each pack, less the square of its fill, so that few and unevenly filled packs are cheapest.
        price = sets * (n + 1) * STEPS**2 + STEPS**2 - (STEPS * np.minimum(sets, budget) // budget) ** 2
        rest = np.arange(len(best))
        found = np.full(len(best), np.iinfo(np.int64).max)
        taken = np.zeros(len(best), np.int64)
        for s in np.flatnonzero(sets <= budget).tolist():
            free = rest[(rest & s) == 0]
            value = price[s] + best[free]
            better = value < found[free | s]
            where = (free | s)[better]
            found[where], taken[where] = value[better], s
        best = np.stack([best, found], 1).ravel()  # leaf i becomes bit 0
        chosen.append(taken)
    return _sets(chosen[::-1])


def _tokens_of_sets(leaves: Leaves) -> Index:
    """Tokens of each set of leaves [2^n]: a leaf adds what it does not share with the last one before it."""
    n = len(leaves)
    tokens, last = np.zeros(1, np.int64), np.full(1, n)
    for j in range(n):
        share = np.zeros(n + 1, np.int64)
        share[:j] = np.minimum.accumulate(leaves.shared[1 : j + 1][::-1])[::-1]
        tokens = np.concatenate([tokens, tokens + leaves.length[j] - share[last]])
        last = np.concatenate([last, np.full(len(last), j)])
    return tokens


def _sets(chosen: list[Index]) -> list[Index]:
    """Follow the choices: chosen[i][R] is the set that goes with leaf i when R (bits from leaf i + 1 on) is left."""
    left = (1 << len(chosen)) - 1
    packs = []
    while left:
        i = (left & -left).bit_length() - 1
        pack = (int(chosen[i][left >> (i + 1)]) << (i + 1)) | (1 << i)
        packs.append(np.array([k for k in range(len(chosen)) if pack >> k & 1]))
        left &= ~pack
    return packs


def lower_bound(leaves: Leaves, budget: int) -> int:
    """A number of tokens that no cut goes below.

    Of a node at depth d every pack that passes through it has room for budget - d tokens below. The packs must hold
    what its children need at least, so ⌈need / room⌉ of them pass, never fewer than through any child, nor than
    through all those children together whose shortest path fills more than half of the room: no two of them go
    together. Then the edge above the node is computed that often.
    """
    roots = _Node(0)
    stack = [roots]
    shared = [*leaves.shared.tolist()[1:], 0]
    for length, next_shared in zip(leaves.length.tolist(), shared):
        node = _Node(length, shortest=length)
        while node.depth > next_shared:
            if stack[-1].depth < next_shared:
                stack.append(_Node(next_shared))
            above = stack[-1]
            above.add(node, budget)
            if above.depth == next_shared:
                break
            node = stack.pop()
    return roots.need


class _Node:
    """A fork at `depth` tokens, with lower bounds from the children seen so far."""

    def __init__(self, depth: int, shortest: int = 0) -> None:
        self.depth = depth
        self.shortest = shortest  # the shortest path through it
        self.need = 0  # tokens below it
        self.most = 1  # packs through one child
        self.apart = 0  # packs through the children of which no two go together

    def add(self, child: _Node, budget: int) -> None:
        """Take in a child whose subtree is complete."""
        room = max(budget - child.depth, 1)
        packs = max(child.most, child.apart, -(-child.need // room))
        self.need += child.need + packs * (child.depth - self.depth)
        self.most = max(self.most, packs)
        if 2 * (child.shortest - self.depth) > budget - self.depth:  # more than half of the room: no two in one pack
            self.apart += packs
        self.shortest = min(self.shortest or child.shortest, child.shortest)
