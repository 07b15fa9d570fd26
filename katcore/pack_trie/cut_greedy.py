"""A cut for trees with too many leaves to try all divisions: greedy insertion, then exact repair of few packs at once.

    insertion(leaves, budget, ...)         O(n · packs) in numpy: each leaf into the nearest or first pack with room
    improve(leaves, packs, budget, ...)    takes a few packs apart, divides their leaves anew by `cut_exact.partition`

Takes leaves of which none is longer than the budget. The two smallest packs of the result do not fit into one, so
no two of any size fit into one row. The same input gives the same cut: the choice of what to repair is seeded.
"""

from __future__ import annotations

import heapq

import numpy as np

from katcore.pack_trie.cut_exact import partition
from katcore.pack_trie.leaves import Leaves, total
from katcore.pack_trie.tree import Index

PIECES = 8
"""How many runs the leaves of a repaired group of packs are divided into: 1 ms a repair."""


def insertion(leaves: Leaves, budget: int, nearest: bool) -> list[Index]:
    """Packs made by putting each leaf, in depth-first order, into a pack that has room for what it adds.

    `nearest`: into the pack that has most of its path, the fullest of several such; else into the first one.
    """
    n = len(leaves)
    packs: list[list[int]] = []
    load = np.zeros(n, np.int64)
    common = np.zeros(n, np.int64)  # what each pack has of the current leaf's path
    for k, (length, shared) in enumerate(zip(leaves.length.tolist(), leaves.shared.tolist())):
        have, tokens = common[: len(packs)], load[: len(packs)]
        # A pack's share of this leaf's path is that of the last leaf's path, cut where the two leaves part.
        np.minimum(have, shared, out=have)
        after = tokens + (length - have)
        # after ≤ budget: the fill only decides between packs of equal `have`. Times 0 the first pack with room wins.
        value = np.where(after <= budget, (have * (budget + 1) + after) * nearest, -1)
        best = int(value.argmax()) if packs else -1
        if best < 0 or value[best] < 0:
            best = len(packs)
            packs.append([])
            load[best] = length
        else:
            load[best] = after[best]
        packs[best].append(k)
        common[best] = length
    return [np.array(pack) for pack in packs]


def improve(leaves: Leaves, packs: list[Index], budget: int, bound: int, tries: int) -> list[Index]:
    """The packs after at most `tries` repairs; they never have more tokens than before.

    Repairs end early at the `bound` [tokens], or when a quarter of `tries` in a row gained nothing.
    """
    rng = np.random.default_rng(0)
    tokens, vain = total(leaves, packs), 0
    for _ in range(tries):
        if tokens <= bound or len(packs) < 2 or 4 * vain >= tries:
            break
        chosen = _neighbours(rng, packs)
        old = [packs[i] for i in chosen]
        new = _divided_anew(rng, leaves, old, budget)
        gain = total(leaves, old) - total(leaves, new)
        if gain >= 0:
            packs = [pack for i, pack in enumerate(packs) if i not in chosen] + new
            tokens -= gain
        vain = vain + 1 if gain <= 0 else 0
    return together(leaves, packs, budget)


def _neighbours(rng: np.random.Generator, packs: list[Index]) -> set[int]:
    """Two to four packs, some of them beside each other in depth-first order, where most is shared."""
    order = sorted(range(len(packs)), key=lambda i: int(packs[i][0]))
    at = int(rng.integers(len(order)))
    chosen = {order[at], *rng.choice(len(order), int(rng.integers(0, 3))).tolist()}
    chosen |= set(order[at + 1 : at + 1 + int(rng.integers(0, 3))])
    return chosen if len(chosen) > 1 else {order[at], order[at - 1]}


def _divided_anew(rng: np.random.Generator, leaves: Leaves, packs: list[Index], budget: int) -> list[Index]:
    """The best division of these packs' leaves into runs, cut where packs part and then where least is shared."""
    pool = np.concatenate(packs)
    owner = np.repeat(np.arange(len(packs)), [len(pack) for pack in packs])
    order = np.argsort(pool)
    pool, owner = pool[order], owner[order]
    some = leaves.take(pool)
    # The factor of each `shared` is noise, so that repairs differ; the second term outweighs it (4 > 1.5), so that all
    # places where packs part come before any other.
    loose = some.shared * rng.uniform(0.5, 1.5, len(some)) - 4 * (some.shared + 1) * (np.diff(owner, prepend=-1) != 0)
    first = np.sort(np.argsort(loose, kind="stable")[:PIECES])
    if first[0] != 0:
        first[0] = 0
    runs = some.joined(first)
    if runs.length.max() > budget:
        return packs
    parts = np.split(pool, first[1:])
    return [np.concatenate([parts[i] for i in pack]) for pack in partition(runs, budget)]


def together(leaves: Leaves, packs: list[Index], budget: int) -> list[Index]:
    """The packs after merging the two smallest as long as both fit into one; then no two sum to the budget or less."""
    heap = [(leaves.tokens_of(pack), int(pack[0]), pack) for pack in packs]
    heapq.heapify(heap)
    while len(heap) > 1:
        (_, _, a), (_, _, b) = heap[0], heapq.nsmallest(2, heap)[1]
        both = np.sort(np.concatenate([a, b]))
        tokens = leaves.tokens_of(both)
        if tokens > budget:
            break
        heapq.heappop(heap)
        heapq.heappop(heap)
        heapq.heappush(heap, (tokens, int(both[0]), both))
    return [pack for _, _, pack in heap]
