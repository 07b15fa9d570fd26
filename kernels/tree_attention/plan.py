"""What a backend works out once from a row's mask, and all its layers share.

In: `end`, and depths for a window. Out: an `AttentionPlan`, which makes what a backend asks for (the runs of
`segments`, the tile lists of the block-skipping kernels) at the first request and keeps it. Nothing of q, k or v.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from katkernels.tree_attention.blocks import classify
from katkernels.tree_attention.chains import Call, calls_of
from katkernels.tree_attention.reference import visible
from katkernels.tree_attention.segments import Segments, cut
from katkernels.tree_attention.tiles import Blocks


@dataclass(frozen=True)
class AttentionPlan:
    """One row's mask: query i of [q_offset, q_offset + queries) sees j iff j <= i < end[j], and is near enough.

    With a window, near enough means depth[i] − depth[j] < window. Nq is `queries`, Nk is `keys`.
    """

    end: Tensor  # [Nk]
    queries: int
    q_offset: int
    depth: Tensor | None  # [Nk], for a window
    window: int | None
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def keys(self) -> int:
        """Nk, the number of keys."""
        return len(self.end)

    @property
    def mask(self) -> Tensor:
        """The dense mask [Nq, Nk]; not kept."""
        return visible(self.end, self.queries, self.q_offset, self.depth, self.window)

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """The attention calls by which the `segments` backend covers the row on a CPU, without a window."""
        return calls_of(self.end, self.queries, self.q_offset)

    @cached_property
    def segments(self) -> Segments:
        """The runs into which the `segments` backend cuts the row on a GPU or under a window."""
        return cut(self.end, self.queries, self.q_offset, self.depth, self.window)

    def blocks(self, tile_q: int, tile_k: int) -> Blocks:
        """The tiles of tile_q queries by tile_k keys that must be computed; each size is made once."""
        made: Blocks = self.kept(
            f"blocks {tile_q} {tile_k}",
            lambda: classify(
                self.end,
                self.queries,
                self.q_offset,
                tile_q=tile_q,
                tile_k=tile_k,
                depth=self.depth,
                window=self.window,
            ),
        )
        return made

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` returned at the first request for `name`; backends keep here what they alone need."""
        if name not in self._kept:
            self._kept[name] = make()
        return self._kept[name]

    @cached_property
    def key_data(self) -> tuple[Tensor, Tensor]:
        """`end` and depth [Nk] as contiguous int32 (`end` twice where no window needs depths), for kernels."""
        end = self.end.to(torch.int32).contiguous()
        return end, end if self.depth is None else self.depth.to(torch.int32).contiguous()


def make_plan(
    end: Tensor, queries: int, q_offset: int = 0, depth: Tensor | None = None, window: int | None = None
) -> AttentionPlan:
    """The plan of queries [q_offset, q_offset + queries) over all keys.

    `end` and `depth` are integers [Nk] on one device; a window of w lets a query see itself and the w - 1 keys before
    it on its path. ValueError when subtrees do not nest, or for a window without depths.
    """
    if window is not None and (window < 1 or depth is None or depth.shape != end.shape):
        raise ValueError(f"a window of {window} wants to be positive and a depth for each of {len(end)} keys")
    problem = _problem(end)
    if problem:
        raise ValueError(problem)
    return AttentionPlan(end.detach(), queries, q_offset, None if window is None else depth, window)


def _problem(end: Tensor) -> str:
    """Why these are not the subtrees of a depth-first forest; empty when they are."""
    ends = end.detach().to("cpu", torch.int64)
    if not len(ends):
        return ""
    if bool((ends <= torch.arange(len(ends))).any()) or bool((ends > len(ends)).any()):
        return "end[j] must lie in (j, Nk]"
    # Within a unary chain all subtrees end together, so it is enough to look where the end changes.
    starts = [0, *(torch.nonzero(ends[1:] != ends[:-1])[:, 0] + 1).tolist()]
    open_ends: list[int] = []
    for a, last in zip(starts, ends[starts].tolist()):
        while open_ends and open_ends[-1] <= a:
            open_ends.pop()
        if open_ends and last > open_ends[-1]:
            return f"token {a}'s subtree ends after that of the token above it"
        open_ends.append(last)
    return ""
