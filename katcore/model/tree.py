"""A forest of token tries as tensors, in the layout of kat.pack: depth-first order, parent, depth, end.

In: a pack's arrays, checked. Out: `Forest`. No model and no attention here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch  # noqa: TID253 - only code that runs a model imports this module
from torch import Tensor  # noqa: TID253

from katcore.errors import InputError
from katcore.records import Pack


@dataclass(frozen=True)
class Forest:
    """A forest of token tries in depth-first order. N unique tokens; all int64."""

    tokens: Tensor  # [N]
    parent: Tensor  # [N], -1 at a root
    depth: Tensor  # [N], the token's position
    end: Tensor  # [N], one past the token's subtree: query i sees key j iff j <= i < end[j]

    def __len__(self) -> int:
        return len(self.tokens)

    def to(self, device: torch.device) -> Forest:
        """The same forest on another device."""
        if self.tokens.device == device:
            return self
        return Forest(*(x.to(device) for x in (self.tokens, self.parent, self.depth, self.end)))

    @classmethod
    def of(cls, pack: Pack) -> Forest:
        """The pack's forest; InputError when its arrays do not describe one."""
        tree = cls(*(torch.tensor(x, dtype=torch.int64) for x in (pack.tokens, pack.parent, pack.depth, pack.end)))
        problem = tree.problem()
        if problem:
            raise InputError(f"pack {pack.id}: {problem}")
        return tree

    def problem(self) -> str:
        """What keeps these arrays from being a depth-first forest; empty when nothing does."""
        size = len(self)
        if size == 0 or any(x.numel() != size for x in (self.parent, self.depth, self.end)):
            return "tokens, parent, depth and end must have one length above 0"
        index = torch.arange(size)
        root = self.parent < 0
        above = self.parent.clamp(min=0)
        if bool((self.parent >= index).any()) or bool((self.parent < -1).any()):
            return "a token comes before its parent"
        if bool((self.depth != torch.where(root, 0, self.depth[above] + 1)).any()):
            return "depth is not one more than the parent's"
        if bool((self.end <= index).any()) or bool((self.end > size).any()):
            return "end lies outside the pack"
        # Depth-first means: the next token is a child of an open subtree, and subtrees nest.
        inside = root | ((index < self.end[above]) & (self.end <= self.end[above]))
        first_child = (self.parent[1:] == index[:-1]) == (self.end[:-1] > index[1:])
        after_root = self.end[root] == torch.cat([index[root][1:], torch.tensor([size])])
        if not (bool(inside.all()) and bool(first_child.all()) and bool(after_root.all())):
            return "end does not close the subtrees in depth-first order"
        return ""
