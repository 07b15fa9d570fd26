"""Tree attention with the whole score matrix in memory: what every other backend must equal.

O(Nq · Nk) memory, computed in the inputs' own dtype (give it fp64 for a yardstick).
"""

from __future__ import annotations

import torch
from torch import Tensor


def visible(
    end: Tensor, queries: int, q_offset: int = 0, depth: Tensor | None = None, window: int | None = None
) -> Tensor:
    """The mask [Nq, Nk]: query i sees key j iff j <= i < end[j] and, with a window, depth[i] - depth[j] < window."""
    i = torch.arange(q_offset, q_offset + queries, device=end.device)[:, None]
    j = torch.arange(len(end), device=end.device)[None, :]
    mask = (j <= i) & (i < end[None, :])
    if window is None:
        return mask
    assert depth is not None  # make_plan refuses a window without depths
    return mask & (depth[q_offset : q_offset + queries, None] - depth[None, :] < window)


def attend_dense(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, scale: float) -> Tensor:
    """softmax(q kᵀ · scale + mask) v: q [Nq, H, D], k and v [Nk, Hkv, D], mask [Nq, Nk] → [Nq, H, D]."""
    group = q.shape[1] // k.shape[1]  # query head h reads key head h // group
    k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)  # [Nk, H, D]
    scores = torch.einsum("ihd,jhd->hij", q, k) * scale  # [H, Nq, Nk]
    scores = scores.masked_fill(~mask, -torch.inf)  # no row is all −inf, since each query sees itself
    return torch.einsum("hij,jhd->ihd", torch.softmax(scores, -1), v)
