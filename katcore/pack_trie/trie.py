"""Merge token trees into one token trie and flatten it depth-first.

In: the token trees of a task's samples. Out: `Trie`, the arrays of kat.pack, and for every token of every tree its
place in them. Linear in the number of tokens: a delta is compared with a whole chain at a time, and Python sees chains,
never tokens. The order is fixed by the order of the input: children in the order in which their first tokens came.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from katcore.pack_trie.tree import Index, Ints, TokenTree


@dataclass(frozen=True)
class Trie:
    """A forest of N unique tokens in depth-first order."""

    tokens: Ints  # [N]
    parent: Ints  # [N], -1 at a root
    depth: Ints  # [N], the position on the token's own path
    end: Ints  # [N], one past the token's subtree

    def __len__(self) -> int:
        return len(self.tokens)


def merge(trees: Sequence[TokenTree]) -> tuple[Trie, list[Index]]:
    """The trie of all the trees' paths, and for each tree [T] the place in the trie of each of its tokens."""
    buffer = np.concatenate([np.empty(0, np.int32), *(tree.tokens for tree in trees)])
    chains = _Chains(buffer)
    base = 0
    for tree in trees:
        tips: list[tuple[int, int]] = []
        for k, parent in enumerate(tree.parent):
            tip = tips[parent] if parent >= 0 else (0, 0)
            tips.append(chains.insert(tip, base + tree.start[k], base + tree.start[k + 1]))
        base += len(tree.tokens)
    trie, place = chains.flatten()
    place = place[chains.canonical]
    bounds = np.cumsum([len(tree.tokens) for tree in trees])[:-1]
    return trie, np.split(place, bounds)


class _Chains:
    """A radix tree whose edges are slices [lo, hi) of the buffer in which all the trees' tokens lie.

    A unique token is named by its first place in the buffer, its canonical place: chains are divided and never moved,
    so the name stays.
    """

    def __init__(self, buffer: Ints) -> None:
        self.buffer = buffer
        self.canonical = np.arange(len(buffer))
        self.lo = [0]  # chain 0 is empty and stands above all roots
        self.hi = [0]
        self.tail = [-1]  # the chain that has what was cut off from this one
        self.children: list[dict[int, int]] = [{}]  # first token → chain

    def insert(self, tip: tuple[int, int], lo: int, hi: int) -> tuple[int, int]:
        """Walk buffer[lo:hi] down from a tip (chain, place after its last token) and add what is new; the new tip."""
        chain, at = tip
        while at > self.hi[chain]:  # the chain was divided since the tip was made
            chain = self.tail[chain]
        while lo < hi:
            if at == self.hi[chain]:
                token = int(self.buffer[lo])
                child = self.children[chain].get(token)
                if child is None:
                    self.children[chain][token] = child = self._add(lo, hi, {})
                    return child, hi
                chain, at = child, self.lo[child]
            same = self._common(at, min(hi - lo, self.hi[chain] - at), lo)
            self.canonical[lo : lo + same] = np.arange(at, at + same)
            lo, at = lo + same, at + same
            if lo < hi and at < self.hi[chain]:
                self._divide(chain, at)
        return chain, at

    def _common(self, a: int, length: int, b: int) -> int:
        """How many of the `length` tokens at a and at b are equal before the first that differs."""
        differs = self.buffer[a : a + length] != self.buffer[b : b + length]
        first = int(differs.argmax())
        return first if differs[first] else length

    def _add(self, lo: int, hi: int, children: dict[int, int]) -> int:
        """A new chain [lo, hi) of the buffer; returns its number."""
        self.lo.append(lo)
        self.hi.append(hi)
        self.tail.append(-1)
        self.children.append(children)
        return len(self.lo) - 1

    def _divide(self, chain: int, at: int) -> None:
        """Cut a chain in two at a place inside it; tips below the cut find the rest through `tail`."""
        rest = self._add(at, self.hi[chain], self.children[chain])
        self.tail[rest] = self.tail[chain]
        self.tail[chain] = rest
        self.hi[chain] = at
        self.children[chain] = {int(self.buffer[at]): rest}

    def flatten(self) -> tuple[Trie, Index]:
        """Depth-first arrays, and the place in them of each canonical token (anything for the others)."""
        order, above = self._depth_first()
        lo, hi = np.array(self.lo)[order], np.array(self.hi)[order]
        length = hi - lo
        start = np.cumsum(length) - length  # [C] place of each chain's first token
        last = start + length - 1
        depth, end = np.zeros(len(order), np.int64), start + length
        for c in range(1, len(order)):  # chain 0 is the empty one, of depth 0
            depth[c] = depth[above[c]] + length[above[c]]
        for c in range(len(order) - 1, 0, -1):  # children come later, so each end is final when it is handed up
            end[above[c]] = max(end[above[c]], end[c])
        index = np.arange(int(length.sum()))  # [N], as the arrays below
        inside = index - np.repeat(start, length)  # place of a token in its chain
        gather = np.repeat(lo, length) + inside
        parent = np.repeat(np.where(np.array(above) > 0, last[above], -1), length)
        place = np.zeros(len(self.buffer), np.int64)
        place[gather] = index
        arrays = (self.buffer[gather], np.where(inside > 0, index - 1, parent), np.repeat(depth, length) + inside)
        return Trie(*(x.astype(np.int32) for x in (*arrays, np.repeat(end, length)))), place

    def _depth_first(self) -> tuple[list[int], list[int]]:
        """Chains in depth-first order, and for each the place in that order of the chain above it."""
        order: list[int] = []
        above: list[int] = []
        stack = [(0, 0)]
        while stack:
            chain, parent = stack.pop()
            here = len(order)
            order.append(chain)
            above.append(parent)
            stack += [(child, here) for child in reversed(self.children[chain].values())]
        return order, above
