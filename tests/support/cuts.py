"""Trees for the tests of cutting, and the slow and obvious way to cut them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from katcore.pack_trie.leaves import Leaves
from katcore.pack_trie.tree import TokenTree
from katcore.pack_trie.trie import Trie, merge


def random_trie(rng: random.Random, leaves: int, chain: int = 9, depth: int = 8) -> Trie:
    """A trie of so many leaves with chains of random length; new branches start anywhere on the older paths."""
    paths: list[list[int]] = []
    fresh = iter(range(10**6))
    while len(paths) < leaves:
        base = rng.choice(paths) if paths else [next(fresh)]
        keep = (
            base[: rng.randint(1, len(base))] if len(paths) < depth else base[: rng.randint(len(base) // 2, len(base))]
        )
        path = [*(keep or base), *(next(fresh) for _ in range(rng.randint(1, chain)))]
        if base in paths and len(keep) == len(base):
            paths.remove(base)  # its path goes on
        paths.append(path)
    return trie_of(paths)


def trie_of(paths: list[list[int]]) -> Trie:
    """The trie of token sequences."""
    none, ints = np.empty(0, np.float32), np.empty(0, np.int32)
    trees = [
        TokenTree((), (-1,), (0, len(path)), np.array(path, np.int32), ints.astype(np.int64), ints, ints, none, [])
        for path in paths
    ]
    return merge(trees)[0]


def path(trie: Trie, leaf: int) -> list[int]:
    """Token indices from the root to a leaf."""
    found = []
    while leaf >= 0:
        found.append(leaf)
        leaf = int(trie.parent[leaf])
    return found[::-1]


def leaf_tokens(trie: Trie) -> list[int]:
    """Tokens without a child."""
    parents = set(trie.parent.tolist())
    return [i for i in range(len(trie)) if i not in parents]


def divisions(n: int) -> Iterator[list[list[int]]]:
    """All divisions of n things into sets."""
    if n == 0:
        yield []
        return
    for smaller in divisions(n - 1):
        for k in range(len(smaller)):
            yield [*smaller[:k], [*smaller[k], n - 1], *smaller[k + 1 :]]
        yield [*smaller, [n - 1]]


def fewest(trie: Trie, budget: int) -> int:
    """Tokens of the best of all cuts, sets of tokens counted one by one; a path above the budget must be alone."""
    paths = [set(path(trie, leaf)) for leaf in leaf_tokens(trie)]
    sizes: dict[tuple[int, ...], int] = {}

    def size(pack: list[int]) -> int:
        key = tuple(pack)
        if key not in sizes:
            sizes[key] = len(set().union(*(paths[k] for k in pack)))
        return sizes[key]

    allowed = (d for d in divisions(len(paths)) if all(len(pack) == 1 or size(pack) <= budget for pack in d))
    return min(sum(size(pack) for pack in division) for division in allowed)


def leaves_of(trie: Trie) -> Leaves:
    """The leaves' lengths and what they share, read off the paths themselves."""
    paths = [path(trie, leaf) for leaf in leaf_tokens(trie)]
    shared = [0] + [len(set(a) & set(b)) for a, b in pairwise(paths)]
    return Leaves(np.array([len(p) for p in paths]), np.array(shared))
