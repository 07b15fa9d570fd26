"""Cut a forest into parts of at most a budget of tokens, none of them computed twice.

In: a `Forest` and a budget. Out: `Part`s, each a connected subtree, or several that hang below one token; every token
of the forest belongs to exactly one. A part's tokens see its `above`, the path from the root to the token it hangs
below (the cut token), whose keys and values other parts have computed. So the parts themselves form a tree, and while a
part is worked on only its ancestors need to be kept. This is the cut inside a rank, made at run time, because the
budget depends on the rank's memory; dividing trees between ranks is packing's (`katcore/pack_trie`).

Where to cut is `cuts.py`'s to say, and which parts keep their activations until their backward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch  # noqa: TID253 - only code that runs a model imports this module
from torch import Tensor  # noqa: TID253

from katcore.model.cuts import pieces_of
from katcore.model.rows import Rows
from katcore.model.tree import Forest
from katkernels.tree_attention import AttentionPlan, make_plan


@dataclass(frozen=True)
class Part:
    """What the model runs at once. n own tokens, P tokens of the path above, E own tokens that parts below see."""

    own: Tensor  # [n] int64, indices into the forest, ascending: depth-first order too
    tokens: Tensor  # [n]
    depth: Tensor  # [n], positions
    end: Tensor  # [P + n] int64, over the keys: the path above, then the own tokens
    parent: int  # the part that holds the token that this one hangs below; -1 at the top
    children: tuple[int, ...]
    shown: Rows  # E places in `own`
    above: tuple[tuple[int, Rows], ...]  # the path, root first: a part, and which of its shown tokens
    keep: bool = True
    """Whether its activations wait for its backward pass; else its layers' inputs do, and the rest is made anew."""
    _plans: dict[int | None, AttentionPlan] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.own)

    @property
    def inherited(self) -> int:
        """P, the number of keys of the path above."""
        return len(self.end) - len(self.own)

    @cached_property
    def key_depth(self) -> Tensor:
        """[P + n], each key's position on its own path."""
        return torch.cat([torch.arange(self.inherited, device=self.depth.device), self.depth])

    def plan(self, window: int | None = None) -> AttentionPlan:
        """The attention plan of this part under a window: made once, used by every layer, pass and epoch."""
        if window not in self._plans:
            depth = None if window is None else self.key_depth
            self._plans[window] = make_plan(self.end, len(self.own), self.inherited, depth, window)
        return self._plans[window]


def partition(tree: Forest, budget: int = 0) -> list[Part]:
    """The parts of a forest, parents before children; one part when the budget is 0. ValueError below 0."""
    if budget < 0:
        raise ValueError(f"a budget of {budget} tokens")
    size = len(tree)
    pieces = pieces_of(tree, budget)
    own = [torch.cat([torch.arange(a, b) for a, b in piece.ranges]) for piece in pieces]
    owner = torch.empty(size, dtype=torch.int64)
    for index, tokens in enumerate(own):
        owner[tokens] = index
    cuts = [piece.cut for piece in pieces]
    parents = [int(owner[cut]) if cut >= 0 else -1 for cut in cuts]
    children: list[list[int]] = [[] for _ in pieces]
    for index, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(index)
    end = tree.end.cpu()
    above: list[tuple[tuple[int, Rows], ...]] = [() for _ in pieces]
    parts = []
    for index, tokens in enumerate(own):
        shown, paths = _shown(tokens, end[tokens], [cuts[child] for child in children[index]])
        for child, path in zip(children[index], paths):
            above[child] = (*above[index], (index, Rows(path).to(tree.tokens.device)))
        part = _part(tree, tokens, end, parents[index], children[index], shown, above[index])
        parts.append(replace(part, keep=pieces[index].keep))
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
    tree: Forest,
    own: Tensor,
    end: Tensor,
    parent: int,
    children: Sequence[int],
    shown: Tensor,
    above: tuple[tuple[int, Rows], ...],
) -> Part:
    """The part of the tokens `own` [n], with `end` [N] of the forest renumbered over its P + n keys."""
    inherited = sum(len(rows) for _, rows in above)
    keys = inherited + len(own)
    # All own tokens lie below the path above, whose keys therefore end with the last one. An own subtree ends after as
    # many own tokens as lie before its end in the forest.
    local = torch.cat([torch.full((inherited,), keys), torch.searchsorted(own, end[own]) + inherited])
    device = tree.tokens.device
    at = own.to(device)
    return Part(
        at, tree.tokens[at], tree.depth[at], local.to(device), parent, tuple(children), Rows(shown).to(device), above
    )  # fmt: skip
