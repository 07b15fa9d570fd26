"""Where to cut a forest into parts of a budget, and which parts can keep their activations.

In: a `Forest` and a budget, the tokens whose activations may be alive at once. Out: `Piece`s of at most that many
tokens. While a part is worked on, the parts above it wait for their backward pass. One that keeps its activations
meanwhile takes part of the budget from all below; one that does not is computed again, a third more work. So, bottom up
over unary chains:

- A subtree that fits the budget stays whole. Branches of a fork that do not fit together become parts of their own,
  several small ones sharing one, first fit by decreasing size.
- Above them, as much of the chain as the budget leaves beside the largest of these parts keeps its activations: their
  sizes add up to no more than the budget along every path. How large a shared part may grow is weighed against that:
  a part costs about PART tokens' computing, a token that is computed again a third of one.
- What lies higher cannot be kept. There a fork keeps its lightest branches and detaches the heaviest while it is over
  budget, which makes the fewest parts when branches cannot be divided (Kundu and Misra 1977).
- A chain is cut so that the lower part is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch  # noqa: TID253 - only code that runs a model imports this module

from katcore.model.tree import Forest

PART = 32
"""How many tokens take as long to compute as one more part takes to start (4 layers of width 256 on a CPU)."""

Range = tuple[int, int]  # tokens [a, b) of the forest


@dataclass(frozen=True, order=True)
class Piece:
    """The tokens of one part in ascending ranges, the token that they hang below (-1 at the top), and `Part.keep`."""

    ranges: list[Range]
    cut: int
    keep: bool


def pieces_of(tree: Forest, budget: int) -> list[Piece]:
    """The parts in depth-first order, a cut token's before those below it; one when the budget is 0 or holds all."""
    if not budget or budget >= len(tree):
        return [Piece([(0, len(tree))], -1, True)]
    return sorted(_Cutter(_Chains.of(tree), budget).cut())


@dataclass(frozen=True)
class _Chains:
    """The forest as unary chains [start[c], start[c + 1]); `above[c]` is the chain that c hangs below, -1 at a root."""

    start: list[int]
    above: list[int]

    @classmethod
    def of(cls, tree: Forest) -> _Chains:
        parent, end = tree.parent.cpu(), tree.end.cpu()
        fresh = torch.ones(len(tree), dtype=torch.bool)
        fresh[1:] = (parent[1:] != torch.arange(len(tree) - 1)) | (end[1:] != end[:-1])
        start = fresh.nonzero()[:, 0]
        chain = fresh.cumsum(0) - 1
        top = parent[start]
        above = torch.where(top < 0, -1, chain[top.clamp(min=0)])
        return cls([*start.tolist(), len(tree)], above.tolist())

    def cut(self, chain: int) -> int:
        """The token that a chain hangs below; -1 at a root."""
        return self.start[self.above[chain] + 1] - 1 if self.above[chain] >= 0 else -1


@dataclass
class _Open:
    """A subtree while its ancestors are looked at: what of it is not yet in a part, and what its parts keep alive."""

    ranges: list[Range]
    size: int
    alive: int = 0  # the most tokens whose activations the parts below keep at once; 0 while nothing is cut off

    @property
    def whole(self) -> bool:
        """Whether nothing of the subtree is in a part yet."""
        return self.alive == 0


class _Cutter:
    """One pass over the chains, children before parents."""

    def __init__(self, chains: _Chains, budget: int) -> None:
        self.chains = chains
        self.budget = budget
        self.pieces: list[Piece] = []

    def cut(self) -> list[Piece]:
        """All pieces of the forest, in no particular order."""
        waiting: dict[int, list[_Open]] = {}
        for chain in range(len(self.chains.above) - 1, -1, -1):
            below = waiting.pop(chain, [])[::-1]
            waiting.setdefault(self.chains.above[chain], []).append(self._chain(chain, below))
        tops = waiting.get(-1, [])[::-1]
        self._emit([tree for tree in tops if tree.whole], -1, keep=True)
        self._emit([tree for tree in tops if not tree.whole and tree.ranges], -1, keep=False)
        return self.pieces

    def _chain(self, chain: int, below: list[_Open]) -> _Open:
        """The subtree of a chain, given those of its branches."""
        a, b = self.chains.start[chain], self.chains.start[chain + 1]
        size = sum(tree.size for tree in below)
        if all(tree.whole for tree in below) and size <= self.budget:
            return self._upwards(a, b, _Open([r for tree in below for r in tree.ranges], size))
        alive = self._branches(b - a, b - 1, below)
        kept = min(b - a, self.budget - alive)
        if kept == b - a:
            self.pieces.append(Piece([(a, b)], self.chains.cut(chain), keep=True))
            return _Open([], 0, alive + kept)
        if kept:
            self.pieces.append(Piece([(b - kept, b)], b - kept - 1, keep=True))
            return self._upwards(a, b - kept, _Open([], 0, self.budget))
        high = self._lightest([tree for tree in below if tree.ranges and not tree.whole], b - a, b - 1)
        return self._upwards(a, b, high)

    def _upwards(self, a: int, b: int, below: _Open) -> _Open:
        """The chain [a, b) with the open subtree below it; above the budget its lower end becomes a full part."""
        while b - a + below.size > self.budget:
            top = b - (self.budget - below.size)
            if top < b or below.ranges:
                self.pieces.append(Piece([(top, b)] * (top < b) + below.ranges, top - 1, keep=below.whole))
            b, below = top, _Open([], 0, self.budget)
        return _Open([(a, b), *below.ranges], b - a + below.size, below.alive)

    def _branches(self, chain: int, cut: int, below: list[_Open]) -> int:
        """Make parts of a fork's whole branches; returns the most tokens that any path below the fork keeps alive."""
        whole = [tree for tree in below if tree.whole]
        alive = max((tree.alive for tree in below if not tree.whole), default=0)
        least = max([alive, *(tree.size for tree in whole)])
        capacities = {least, self.budget, *(self.budget - x for x in (chain, chain // 2) if self.budget - x > least)}

        def most(groups: list[_Open]) -> int:
            return max([alive, *(group.size for group in groups)])

        def cost(groups: list[_Open]) -> float:
            again = chain - min(chain, self.budget - most(groups))
            return PART * len(groups) + again / 3  # forward 1, backward 2: once more forward is a third of a token

        best = min((_shared(whole, capacity) for capacity in sorted(capacities)), key=cost)
        self.pieces += [Piece(sorted(group.ranges), cut, keep=True) for group in best]
        return most(best)

    def _lightest(self, branches: list[_Open], chain: int, cut: int) -> _Open:
        """The branches of a high fork that stay with its chain; the others become pieces."""
        room = self.budget - min(chain, self.budget)
        total = sum(tree.size for tree in branches)
        detached: list[_Open] = []
        for heaviest in sorted(branches, key=lambda tree: -tree.size):
            # a chain that is cut anyway leaves room for all but one token
            if total <= (room if chain < self.budget else self.budget - 1):
                break
            detached.append(heaviest)
            total -= heaviest.size
        self._emit(detached, cut, keep=False)
        kept = [tree for tree in branches if not any(tree is other for other in detached)]
        return _Open([r for tree in kept for r in tree.ranges], total, self.budget)

    def _emit(self, trees: list[_Open], cut: int, *, keep: bool) -> None:
        """Make parts of open subtrees that hang below token `cut`, several in one where they fit."""
        self.pieces += [Piece(sorted(group.ranges), cut, keep) for group in _shared(trees, self.budget)]


def _shared(trees: Sequence[_Open], capacity: int) -> list[_Open]:
    """Subtrees that hang below one token, put together while they fit: first fit, largest first."""
    bins: list[_Open] = []
    for tree in sorted(trees, key=lambda tree: -tree.size):
        found = next((each for each in bins if each.size + tree.size <= capacity), None)
        if found is None:
            bins.append(_Open(list(tree.ranges), tree.size))
        else:
            found.ranges += tree.ranges
            found.size += tree.size
    return bins
