"""Cut a forest into parts of at most a budget of tokens, none of them computed twice.

In: a `Tree` and a budget. Out: `Part`s, each a connected subtree, or several that hang below one token; every token of
the forest belongs to exactly one. A part's tokens see its `above`, the path from the root to the token it hangs below
(the cut token), whose keys and values other parts have computed. So the parts themselves form a tree, and while a part
is worked on only its ancestors need to be kept. This is the cut inside a rank, made at run time, because the budget
depends on the rank's memory; dividing trees between ranks is packing's (`katcore/pack_trie`).

The rule, bottom up over unary chains: a fork keeps its lightest branches and detaches the heaviest while the subtree is
over budget, which makes the fewest parts when branches cannot be divided (Kundu and Misra 1977); a chain is cut so that
the lower part is full. Detached branches of one fork share parts, first fit by decreasing size. Lower parts fill first,
so that few tokens lie in parts that others hang below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch  # noqa: TID253 - only code that runs a model imports this module
from torch import Tensor  # noqa: TID253

from katcore.model.tree import Tree
from katkernels.tree_attention import Plan, make_plan

Range = tuple[int, int]  # tokens [a, b) of the forest


@dataclass(frozen=True)
class Part:
    """What the model runs at once. n own tokens, P tokens of the path above, E own tokens that parts below see."""

    own: Tensor  # [n] int64, indices into the forest, ascending: depth-first order too
    tokens: Tensor  # [n]
    depth: Tensor  # [n], positions
    end: Tensor  # [P + n] int64, over the keys: the path above, then the own tokens
    parent: int  # the part that holds the token that this one hangs below; -1 at the top
    children: tuple[int, ...]
    shown: Tensor  # [E], places in `own`
    above: tuple[tuple[int, Tensor], ...]  # the path, root first: a part, and which of its shown tokens
    _plans: dict[int | None, Plan] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.own)

    @property
    def inherited(self) -> int:
        """P: keys of the path above."""
        return len(self.end) - len(self.own)

    @cached_property
    def key_depth(self) -> Tensor:
        """[P + n], each key's position on its own path."""
        return torch.cat([torch.arange(self.inherited, device=self.depth.device), self.depth])

    def plan(self, window: int | None = None) -> Plan:
        """How attention walks this part: made once, used by every layer, pass and epoch."""
        if window not in self._plans:
            depth = None if window is None else self.key_depth
            self._plans[window] = make_plan(self.end, len(self.own), self.inherited, depth, window)
        return self._plans[window]


def partition(tree: Tree, budget: int = 0) -> list[Part]:
    """The parts of a forest, parents before children; one part when the budget is 0. ValueError below 0."""
    if budget < 0:
        raise ValueError(f"a budget of {budget} tokens")
    size = len(tree)
    pieces = [([(0, size)], -1)] if not budget or budget >= size else _cut(_Chains.of(tree), budget)
    pieces.sort()  # by first token: a cut token comes before what hangs below it
    own = [torch.cat([torch.arange(a, b) for a, b in ranges]) for ranges, _ in pieces]
    owner = torch.empty(size, dtype=torch.int64)
    for index, tokens in enumerate(own):
        owner[tokens] = index
    cuts = [cut for _, cut in pieces]
    parents = [int(owner[cut]) if cut >= 0 else -1 for cut in cuts]
    children: list[list[int]] = [[] for _ in pieces]
    for index, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(index)
    end = tree.end.cpu()
    above: list[tuple[tuple[int, Tensor], ...]] = [() for _ in pieces]
    parts = []
    for index, tokens in enumerate(own):
        shown, paths = _shown(tokens, end[tokens], [cuts[child] for child in children[index]])
        for child, path in zip(children[index], paths):
            above[child] = (*above[index], (index, path.to(tree.tokens.device)))
        parts.append(_part(tree, tokens, end, parents[index], children[index], shown, above[index]))
    return parts


def ancestors(parts: Sequence[Part], index: int) -> list[int]:
    """The parts above a part, root first."""
    line: list[int] = []
    while (index := parts[index].parent) >= 0:
        line.append(index)
    return line[::-1]


def _shown(own: Tensor, end: Tensor, cuts: Sequence[int]) -> tuple[Tensor, list[Tensor]]:
    """The places in `own` that the parts below the tokens `cuts` see; and for each of these, which of those it sees."""
    paths = [((own <= cut) & (cut < end)).nonzero()[:, 0] for cut in cuts]  # the cut token and its ancestors
    shown = torch.cat(paths).unique() if paths else torch.empty(0, dtype=torch.int64)
    return shown, [torch.searchsorted(shown, path) for path in paths]


def _part(
    tree: Tree,
    own: Tensor,
    end: Tensor,
    parent: int,
    children: Sequence[int],
    shown: Tensor,
    above: tuple[tuple[int, Tensor], ...],
) -> Part:
    inherited = sum(len(rows) for _, rows in above)
    keys = inherited + len(own)
    local = torch.cat([torch.full((inherited,), keys), torch.searchsorted(own, end[own]) + inherited])
    device = tree.tokens.device
    at = own.to(device)
    return Part(
        at, tree.tokens[at], tree.depth[at], local.to(device), parent, tuple(children), shown.to(device), above
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ where to cut


@dataclass(frozen=True)
class _Chains:
    """The forest as unary chains [start[c], start[c + 1]); `above[c]` is the chain that c hangs below, -1 at a root."""

    start: list[int]
    above: list[int]

    @classmethod
    def of(cls, tree: Tree) -> _Chains:
        parent, end = tree.parent.cpu(), tree.end.cpu()
        fresh = torch.ones(len(tree), dtype=torch.bool)
        fresh[1:] = (parent[1:] != torch.arange(len(tree) - 1)) | (end[1:] != end[:-1])
        start = fresh.nonzero()[:, 0]
        chain = fresh.cumsum(0) - 1
        top = parent[start]
        above = torch.where(top < 0, -1, chain[top.clamp(min=0)])
        return cls([*start.tolist(), len(tree)], above.tolist())


@dataclass
class _Open:
    """A subtree that is not yet in a part: its ranges in ascending order, and their size."""

    ranges: list[Range]
    size: int


Piece = tuple[list[Range], int]  # ranges of a part, and the token that it hangs below


def _cut(chains: _Chains, budget: int) -> list[Piece]:
    """The parts' ranges, in no order."""
    pieces: list[Piece] = []
    waiting: dict[int, list[_Open]] = {}
    for c in range(len(chains.above) - 1, -1, -1):
        a, b = chains.start[c], chains.start[c + 1]
        kept = _keep(waiting.pop(c, [])[::-1], b - a, b - 1, budget, pieces)
        rest = sum(child.size for child in kept)
        below = [r for child in kept for r in child.ranges]
        while b - a + rest > budget:  # the lower end of the chain fills a part
            top = b - (budget - rest)
            pieces.append(([(top, b), *below], top - 1))
            b, rest, below = top, 0, []
        waiting.setdefault(chains.above[c], []).append(_Open([(a, b), *below], b - a + rest))
    return pieces + [(ranges, -1) for ranges in _shared(waiting.get(-1, [])[::-1], budget)]


def _keep(children: list[_Open], chain: int, cut: int, budget: int, pieces: list[Piece]) -> list[_Open]:
    """The branches of a fork that stay with its chain; the others become pieces."""
    room = budget - min(chain, budget)
    total = sum(child.size for child in children)
    detached: list[_Open] = []
    kept = children
    for heaviest in sorted(children, key=lambda child: -child.size):
        # a chain that is cut anyway leaves room for all but one token
        if total <= (room if chain < budget else budget - 1):
            break
        detached.append(heaviest)
        total -= heaviest.size
        kept = [child for child in kept if child is not heaviest]
    pieces += [(ranges, cut) for ranges in _shared(detached, budget)]
    return kept


def _shared(trees: list[_Open], budget: int) -> list[list[Range]]:
    """Subtrees that hang below one token, put together while they fit: first fit, largest first."""
    bins: list[_Open] = []
    for tree in sorted(trees, key=lambda tree: -tree.size):
        found = next((each for each in bins if each.size + tree.size <= budget), None)
        if found is None:
            bins.append(_Open(list(tree.ranges), tree.size))
        else:
            found.ranges += tree.ranges
            found.size += tree.size
    return [sorted(each.ranges) for each in bins]
