"""Picking the next token of every row, as SGLang does, and its log-prob.

In: logits [B, V] of the next token and each row's parameters. Out: one id and one log-prob a row. The log-prob is the
natural logarithm of softmax(logits / T) in fp32, before top-k, top-p and min-p; at T = 0 the choice is greedy and the
log-prob that of T = 1. One uniform number a token, keyed by (seed, sequence, position): a request with a seed draws the
same tokens whatever else is in the batch, up to rounding of the logits.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Draw:
    """One row's sampling parameters, as in a request, and the uniform number in [0, 1) that decides the draw."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    uniform: float

    @property
    def filtered(self) -> bool:
        """Whether anything but the temperature shapes the distribution."""
        return self.top_p < 1.0 or self.top_k > 0 or self.min_p > 0.0


def uniform(seed: int, sequence: int, position: int) -> float:
    """The number in [0, 1) for one token, a hash of (seed, sequence, position): the same on every machine."""
    data = f"{seed}:{sequence}:{position}".encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") / 2**64


def sample(logits: Tensor, draws: Sequence[Draw]) -> tuple[list[int], list[float]]:
    """Ids and log-probs, one a row, from logits [B, V]."""
    # T = 0 has no softmax: the choice is greedy, and the log-prob is that of T = 1.
    heat = torch.tensor([draw.temperature or 1.0 for draw in draws], dtype=torch.float32, device=logits.device)  # [B]
    logprobs = torch.log_softmax(logits.float() / heat[:, None], dim=-1)  # [B, V]
    greedy = torch.tensor([draw.temperature == 0.0 for draw in draws], device=logits.device)
    chosen = torch.where(greedy, logprobs.argmax(dim=-1), _draw(logprobs, draws))  # [B]
    return chosen.tolist(), logprobs.gather(1, chosen[:, None])[:, 0].tolist()


def _draw(logprobs: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Inverse of the cumulative distribution at each row's number, in fp64: [B]."""
    at = torch.tensor([draw.uniform for draw in draws], dtype=torch.float64, device=logprobs.device)[:, None]
    # fp64: a cumulative sum of fp32 near 1 has steps of 6e-8, and a token rarer than that would never be drawn.
    probs = logprobs.double().exp()  # [B, V]
    rows = [row for row, draw in enumerate(draws) if draw.filtered]
    if rows:
        probs[rows] = _filter(probs[rows], [draws[row] for row in rows])
    total = probs.cumsum(dim=-1)
    # Scaled by the mass that the filters left, so that nothing needs normalising. right=True: the first id whose sum is
    # above the number, so never one of probability 0.
    chosen = torch.searchsorted(total, at * total[:, -1:], right=True)[:, 0]
    # The last id with any probability, should rounding push the number past the end.
    last = probs.shape[1] - 1 - (probs > 0).flip(-1).int().argmax(dim=-1)
    return torch.minimum(chosen, last)


_HEAD = 64
"""How many of the most probable tokens are sorted first.

Sorting a whole vocabulary at every step is most of a small model's time, and usually these decide.
"""


def _filter(probs: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Zero what top-k, top-p and min-p exclude: [B, V]. The most probable token always stays."""
    size = probs.shape[1]
    most, top_p, min_p = (
        torch.tensor([[value] for value in column], dtype=torch.float64, device=probs.device)  # [B, 1]
        for column in zip(*((draw.top_k if 0 < draw.top_k < size else size, draw.top_p, draw.min_p) for draw in draws))
    )
    ordered, ids = probs.topk(min(_HEAD, size))  # [B, K]
    # Decided: all that may stay is among these K, either by count or because they hold more than top_p already.
    decided = (most <= ordered.shape[1]) | ((top_p < 1.0) & (ordered.sum(-1, keepdim=True) > top_p))
    if not bool(decided.all()):
        ordered, ids = probs.sort(descending=True, stable=True)
    dropped = (ordered.cumsum(-1) - ordered) > top_p  # what stands before a token: the one that crosses top_p stays
    dropped |= ordered < ordered[:, :1] * min_p
    dropped |= torch.arange(ordered.shape[1], device=probs.device) >= most
    return torch.zeros_like(probs).scatter(1, ids, ordered.masked_fill(dropped, 0.0))
