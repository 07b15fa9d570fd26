"""Tree attention with the whole score matrix in memory: what every other backend must equal.

O(Nq · Nk) memory, computed in the inputs' own dtype (give it fp64 for a yardstick).
"""

from __future__ import annotations

import torch
from torch import Tensor


def visible(end: Tensor, queries: int, q_offset: int) -> Tensor:
    """The mask [Nq, Nk]: query i sees key j iff j <= i < end[j]."""
    i = torch.arange(q_offset, q_offset + queries, device=end.device)[:, None]
    j = torch.arange(len(end), device=end.device)[None, :]
    return (j <= i) & (i < end[None, :])


def attend_dense(q: Tensor, k: Tensor, v: Tensor, end: Tensor, q_offset: int, scale: float) -> Tensor:
    """softmax(q kᵀ · scale + mask) v: q [Nq, H, D], k and v [Nk, Hkv, D] → [Nq, H, D]."""
    group = q.shape[1] // k.shape[1]
    k, v = (
        k.repeat_interleave(group, 1),
        v.repeat_interleave(group, 1),
    )  # [Nk, H, D]: query head h reads key head h // group
    scores = torch.einsum("ihd,jhd->hij", q, k) * scale  # [H, Nq, Nk]
    scores = scores.masked_fill(~visible(end, len(q), q_offset), -torch.inf)
    return torch.einsum("hij,jhd->ihd", torch.softmax(scores, -1), v)
