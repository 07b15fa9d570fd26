"""A tree and how it is cut → a tree for each pack, with every term in exactly one of them.

Tokens may be in several packs; terms may not, or the sum over packs would be another gradient (method.md § 6.4). A term
goes to a pack that has its sample's path; where several have it, as with a trajectory that forks, the terms of one turn
stay together, and a sample's turns go to as few packs as possible, the first of equals. The other packs have the same
tokens as context. Denominators and sample numbers stay those of the whole tree: each pack lists all its samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from katcore.pack_trie.cut import Cut
from katcore.pack_trie.group import GroupTree
from katcore.pack_trie.terms import TermTable
from katcore.pack_trie.tree import Index
from katcore.pack_trie.trie import Trie


def pieces(tree: GroupTree, cut: Cut) -> list[GroupTree]:
    """The tree of each pack [P]; the tree itself when there is one."""
    if len(cut.packs) == 1:
        return [tree]
    chains = _Chains.of(tree.trie)
    inside = [chains.above(pack) for pack in cut.packs]
    holders: list[list[int]] = [[] for _ in chains.start]
    for p, kept in enumerate(inside):
        for chain in kept.tolist():
            holders[chain].append(p)
    term_pack = _packs_of_terms(tree.terms, chains, holders)
    tip_pack = np.array([holders[chain][0] for chain in chains.of_token[tree.tips].tolist()])
    found = []
    for p, kept in enumerate(inside):
        trie, index = _trie_of(tree.trie, chains, kept)
        terms = _taken(tree.terms, np.flatnonzero(term_pack == p), index)
        tips = np.searchsorted(index, tree.tips[tip_pack == p])
        found.append(replace(tree, trie=trie, terms=terms, tips=tips))
    return found


@dataclass(frozen=True)
class _Chains:
    """The C unary chains of a trie, depth-first: between two forks all tokens have one `end`."""

    start: Index  # [C] first token
    stop: Index  # [C] one past the last token
    parent: Index  # [C] chain above, -1 at a root
    leaf: Index  # chains at whose end a path ends [n]
    of_token: Index  # [N]

    @classmethod
    def of(cls, trie: Trie) -> _Chains:
        index = np.arange(len(trie))
        first = np.concatenate([[True], (trie.parent[1:] != index[:-1]) | (trie.end[1:] != trie.end[:-1])])
        start = np.flatnonzero(first)
        of_token = np.cumsum(first) - 1
        above = trie.parent[start]
        stop = np.append(start[1:], len(trie))
        leaf = np.flatnonzero(trie.end[start] == stop)
        return cls(start, stop, np.where(above < 0, -1, of_token[above]), leaf, of_token)

    def above(self, pack: Index) -> Index:
        """The chains on the paths to these leaves, sorted."""
        parent, seen = self.parent, set[int]()
        for chain in self.leaf[pack].tolist():
            while chain >= 0 and chain not in seen:
                seen.add(chain)
                chain = int(parent[chain])
        return np.array(sorted(seen))


def _trie_of(trie: Trie, chains: _Chains, kept: Index) -> tuple[Trie, Index]:
    """The trie of these chains, and for each of its tokens the place that it came from, rising."""
    length = chains.stop[kept] - chains.start[kept]
    begin = np.cumsum(length) - length
    index = np.repeat(chains.start[kept] - begin, length) + np.arange(int(length.sum()))
    parent = np.arange(len(index)) - 1
    above = chains.parent[kept]
    parent[begin] = np.where(above < 0, -1, (begin + length - 1)[np.searchsorted(kept, above)])
    end = np.append(begin, len(index))[np.searchsorted(chains.start[kept], trie.end[chains.start[kept]])]
    arrays = (trie.tokens[index], parent, trie.depth[index], np.repeat(end, length))
    return Trie(*(x.astype(np.int32) for x in arrays)), index


def _taken(terms: TermTable, which: Index, index: Index) -> TermTable:
    """Some of the terms, in their order, on the tokens at `index`."""
    columns = {name: getattr(terms, name)[which] for name in ("sample", "turn", "rl", "ce", "kl", "engine_logprob")}
    versions = [terms.version[i] for i in which.tolist()]
    return TermTable(token=np.searchsorted(index, terms.token[which]), version=versions, **columns)


def _packs_of_terms(terms: TermTable, chains: _Chains, holders: Sequence[Sequence[int]]) -> Index:
    """The pack of each term [M]. A turn lies on one path: where its last token is, there are all its tokens."""
    turns = int(terms.turn.max(initial=0)) + 1
    keys, segment, counts = np.unique(
        terms.sample.astype(np.int64) * turns + terms.turn, return_inverse=True, return_counts=True
    )
    last = np.zeros(len(keys), np.int64)
    np.maximum.at(last, segment, terms.token)
    where = [holders[chain] for chain in chains.of_token[last].tolist()]
    bounds = np.flatnonzero(np.diff(keys // turns, prepend=-1, append=-1))
    packs: list[int] = []
    for a, b in zip(bounds[:-1].tolist(), bounds[1:].tolist()):
        packs += _fewest(counts[a:b].tolist(), where[a:b])
    return np.array(packs)[segment]


def _fewest(weights: Sequence[int], holders: Sequence[Sequence[int]]) -> list[int]:
    """The pack of each of one sample's turns, in few packs: repeatedly the pack that holds most of the turns left."""
    left: Counter[int] = Counter()
    inside: dict[int, list[int]] = {}
    for k, packs in enumerate(holders):
        for p in packs:
            left[p] += weights[k]
            inside.setdefault(p, []).append(k)
    owner = [-1] * len(weights)
    while left:
        best = max(left, key=lambda p: (left[p], -p))
        for k in inside[best] if left[best] else ():
            if owner[k] < 0:
                owner[k] = best
                left.subtract(dict.fromkeys(holders[k], weights[k]))
        del left[best]
    return owner
