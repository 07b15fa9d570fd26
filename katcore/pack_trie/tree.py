"""One trajectory's tree of messages as arrays of tokens.

In: a kat.trajectory with exact tokens. Out: a TokenTree, pruned to what can carry a loss: messages after the last
completion of a branch are computed by nobody. Records whose nodes contradict themselves, or that have no tokens, are
RecordErrors. `render.py` makes tokens of text first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise

import numpy as np
from numpy.typing import NDArray

from katcore.errors import RecordError
from katcore.records import Node, Trajectory

Ints = NDArray[np.int32]
Index = NDArray[np.int64]
Floats = NDArray[np.float32]


LEAST, MOST = float(np.finfo(np.float32).min), 1.0
"""Bounds of a log-prob: what 32 bits hold, and 0 with room for an engine's rounding."""


@dataclass(frozen=True)
class TokenTree:
    """T tokens of K messages, S of them sampled. A message's tokens follow its parent's."""

    nodes: tuple[Node, ...]  # [K], a parent before its children
    parent: tuple[int, ...]  # [K], -1 at a root
    start: tuple[int, ...]  # [K + 1]: message k owns tokens [start[k], start[k + 1])
    tokens: Ints  # [T]
    sampled: Index  # [S] index into tokens
    sampled_node: Ints  # [S] the message that each sampled token belongs to
    turn: Ints  # [S] number of the completion within the trajectory, from 0
    engine_logprob: Floats  # [S], NaN where the engine gave none
    version: list[str]  # [S] the weights that sampled it, "" where unknown

    @classmethod
    def of(cls, trajectory: Trajectory) -> TokenTree:
        """The trajectory's tree; RecordError when it has no tokens or its nodes do not fit together."""
        return cls.of_nodes(trajectory.nodes)

    @classmethod
    def of_nodes(cls, all_nodes: Sequence[Node]) -> TokenTree:
        """The tree of these nodes, a parent before its children."""
        nodes, parent = _pruned(all_nodes)
        inner = set(parent)
        lengths = [_length(n) if k in inner else _last_sampled(n) for k, n in enumerate(nodes)]
        start = np.cumsum([0, *lengths])
        deltas = chain.from_iterable((n.token_ids or [])[:length] for n, length in zip(nodes, lengths))
        places = [np.concatenate([np.arange(*span) for span in n.sampled] or [np.arange(0)]) for n in nodes]
        counts = [len(place) for place in places]
        node = np.repeat(np.arange(len(nodes)), counts)
        turns = np.cumsum([count > 0 for count in counts]) - 1
        tree = cls(
            nodes=nodes,
            parent=parent,
            start=tuple(start.tolist()),
            tokens=np.fromiter(deltas, np.int32, int(start[-1])),
            sampled=_joined(places, np.int64) + start[node],
            sampled_node=node.astype(np.int32),
            turn=(turns[node] if len(node) else node).astype(np.int32),
            engine_logprob=_joined([_logprobs(n, count) for n, count in zip(nodes, counts)], np.float32),
            version=list(chain.from_iterable(_versions(n, place) for n, place in zip(nodes, places))),
        )
        if any(p < 0 and len(place) and place[0] == 0 for p, place in zip(_first_holders(tree), places)):
            raise RecordError("tokens", "a sampled token has no prompt before it")
        return tree

    def part(self, trained: Sequence[bool]) -> TokenTree:
        """The tree of the messages with a sampled token that are `trained` [K], and of those above them.

        What the others sampled is context there. Turns keep their numbers.
        """
        keep = self._at_or_above([on and last >= 0 for on, last in zip(trained, self._last_sampled)])
        place = {k: i for i, k in enumerate(keep)}
        parent = tuple(place.get(self.parent[k], -1) for k in keep)
        inner = set(parent)
        stop = [self.start[k + 1] if i in inner else self._last_sampled[k] + 1 for i, k in enumerate(keep)]
        start = np.cumsum([0, *(b - self.start[k] for b, k in zip(stop, keep))])
        shift, index = np.zeros(len(self.nodes), np.int64), np.zeros(len(self.nodes), np.int32)
        shift[keep], index[keep] = start[:-1] - np.array(self.start)[keep], np.arange(len(keep))
        which = np.flatnonzero(np.array(trained, bool)[self.sampled_node])
        node = self.sampled_node[which]
        return TokenTree(
            nodes=tuple(self.nodes[k] for k in keep),
            parent=parent,
            start=tuple(start.tolist()),
            tokens=_joined([self.tokens[self.start[k] : b] for b, k in zip(stop, keep)], np.int32),
            sampled=self.sampled[which] + shift[node],
            sampled_node=index[node],
            turn=self.turn[which],
            engine_logprob=self.engine_logprob[which],
            version=[self.version[i] for i in which.tolist()],
        )

    def _at_or_above(self, wanted: list[bool]) -> list[int]:
        """Numbers of the `wanted` [K] messages and of all above them, ascending."""
        wanted = list(wanted)
        for k in reversed(range(len(wanted))):
            if wanted[k] and self.parent[k] >= 0:
                wanted[self.parent[k]] = True
        return [k for k, keep in enumerate(wanted) if keep]

    @cached_property
    def _last_sampled(self) -> list[int]:
        """[K] the last sampled token of each message, -1 where there is none."""
        last = np.full(len(self.nodes), -1)
        last[self.sampled_node] = self.sampled  # numpy writes in order: of several, the last one stays
        return last.tolist()

    @cached_property
    def leaves(self) -> list[int]:
        """Numbers of the messages without a child, ascending."""
        inner = set(self.parent)
        return [k for k in range(len(self.nodes)) if k not in inner]

    def path(self, k: int) -> list[int]:
        """Numbers of the messages from the root to message k."""
        path = []
        while k >= 0:
            path.append(k)
            k = self.parent[k]
        return path[::-1]

    @cached_property
    def flat(self) -> int:
        """Number of tokens on all root-to-leaf paths: what path-by-path training computes."""
        depth: list[int] = []
        for k, p in enumerate(self.parent):
            depth.append(self.start[k + 1] - self.start[k] + (depth[p] if p >= 0 else 0))
        return sum(depth[k] for k in self.leaves)


def _joined(parts: list[NDArray], dtype: type) -> NDArray:
    return np.concatenate(parts).astype(dtype, copy=False) if parts else np.empty(0, dtype)


def _pruned(nodes: Sequence[Node]) -> tuple[tuple[Node, ...], tuple[int, ...]]:
    """The nodes at or above a completion, and the place of each one's parent among them."""
    place = {node.id: i for i, node in enumerate(nodes)}
    if len(place) != len(nodes):
        raise RecordError("nodes", "two nodes have one id")
    wanted = [False] * len(nodes)
    for i in reversed(range(len(nodes))):
        node = nodes[i]
        _check(node)
        above = -1 if node.parent is None else place.get(node.parent, len(nodes))
        if above >= i:
            raise RecordError("nodes", f"node {node.id} does not come after its parent {node.parent}")
        wanted[i] = wanted[i] or bool(node.sampled)
        if wanted[i] and above >= 0:
            wanted[above] = True
    kept = [node for node, keep in zip(nodes, wanted) if keep]
    place = {node.id: i for i, node in enumerate(kept)}
    return tuple(kept), tuple(-1 if node.parent is None else place[node.parent] for node in kept)


def _check(node: Node) -> None:
    """RecordError when a node has no tokens, or spans and log-probs that do not fit them."""
    if node.token_ids is None:
        raise RecordError("tokens", f"node {node.id} is text without tokens")
    bounds = list(chain.from_iterable(node.sampled))
    rising = all(a < b for a, b in node.sampled) and all(a <= b for a, b in pairwise([0, *bounds]))
    if not rising or (bounds and bounds[-1] > len(node.token_ids)):
        raise RecordError("tokens", f"node {node.id} has sampled spans outside its {len(node.token_ids)} tokens")
    if node.token_ids and min(node.token_ids) < 0:
        raise RecordError("tokens", f"node {node.id}: {min(node.token_ids)} is no token id")
    count = sum(b - a for a, b in node.sampled)
    if node.engine_logprobs is None:
        return
    if len(node.engine_logprobs) != count:
        raise RecordError("tokens", f"node {node.id}: {len(node.engine_logprobs)} log-probs of {count} sampled tokens")
    if wrong := [value for value in node.engine_logprobs if not LEAST <= value <= MOST]:
        raise RecordError("tokens", f"node {node.id}: {wrong[0]:g} is no log-prob")


def _length(node: Node) -> int:
    return len(node.token_ids or ())


def _last_sampled(node: Node) -> int:
    return node.sampled[-1][1]


def _first_holders(tree: TokenTree) -> list[int]:
    """For each message the nearest one above it that has tokens, -1 where there is none."""
    holders: list[int] = []
    for p in tree.parent:
        empty = p >= 0 and tree.start[p] == tree.start[p + 1]
        holders.append(holders[p] if empty else p)
    return holders


def _logprobs(node: Node, count: int) -> Floats:
    if node.engine_logprobs is None:
        return np.full(count, np.nan, np.float32)
    return np.array(node.engine_logprobs, np.float32)


def _versions(node: Node, place: Index) -> list[str]:
    """The version of each sampled token: that of the last [start, version] at or before it."""
    if not node.versions:
        return [""] * len(place)
    starts, names = zip(*node.versions)
    at = np.searchsorted(starts, place, side="right") - 1
    return [names[i] for i in at.clip(0).tolist()]
