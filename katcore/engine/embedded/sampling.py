"""Picking the next token of every row, as SGLang does, and its log-prob.

In: logits [B, V] of the next token and each row's parameters. Out: one id and one log-prob a row. The log-prob is the
natural logarithm of softmax(logits / T) in fp32, before top-k, top-p and min-p; at T = 0 the choice is greedy and the
log-prob that of T = 1. Under a grammar both are those among the tokens that it allows: the others have no probability.
Uniform numbers are keyed by (seed, sequence, position): a request with a seed draws the same tokens whatever else is in
the batch, up to rounding of the logits.

What top-k, top-p and min-p leave is drawn from by rejection: a token is drawn from the whole distribution, and again
where it is none of theirs. Whether it is one needs no sorting, which takes longer than a small model's own step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_TRIES = 3
"""Draws from the whole distribution before what the filters leave is looked for, by sorting."""
_BLOCK = 64
"""Tokens whose probabilities are summed first, so that few sums are accumulated."""


@dataclass(frozen=True)
class Draw:
    """One row's sampling parameters, as in a request, and what keys its uniform numbers."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    seed: int
    sequence: int
    position: int

    @property
    def filtered(self) -> bool:
        """Whether anything but the temperature shapes the distribution."""
        return self.top_p < 1.0 or self.top_k > 0 or self.min_p > 0.0

    def keeps(self, probability: float) -> bool:
        """Whether the filters leave a token of this probability, whatever the others have: the rest is too little."""
        return self.top_k <= 0 and self.min_p == 0.0 and 1.0 - probability < self.top_p

    def uniform(self, attempt: int = 0) -> float:
        """The number in [0, 1) that decides this draw at its n-th attempt."""
        return uniform(self.seed, self.sequence, self.position, attempt)


def uniform(seed: int, sequence: int, position: int, attempt: int = 0) -> float:
    """The number in [0, 1) for one token, a hash of what keys it: the same on every machine."""
    data = f"{seed}:{sequence}:{position}" + (f":{attempt}" if attempt else "")
    return int.from_bytes(hashlib.blake2b(data.encode(), digest_size=8).digest(), "big") / 2**64


def constrained(logits: Tensor, allowed: Mapping[int, Tensor]) -> Tensor:
    """Logits [B, V] in which the rows of `allowed`, [V] each, have -inf for every token that is not."""
    if not allowed:
        return logits
    masked = logits.clone()
    for row, tokens in allowed.items():
        masked[row].masked_fill_(~tokens.to(logits.device), -torch.inf)
    return masked


def sample(logits: Tensor, draws: Sequence[Draw]) -> tuple[list[int], list[float]]:
    """Ids and log-probs, one a row, from logits [B, V]."""
    # T = 0 has no softmax: the choice is greedy, and the log-prob is that of T = 1.
    heat = torch.tensor([draw.temperature or 1.0 for draw in draws], dtype=torch.float32, device=logits.device)  # [B]
    probs = torch.softmax(logits.float() / heat[:, None], dim=-1)  # [B, V]
    drawn = [row for row, draw in enumerate(draws) if draw.temperature != 0.0]
    if len(drawn) == len(draws):
        chosen = _drawn(probs, draws)  # [B]
    else:
        chosen = probs.argmax(dim=-1)
        if drawn:
            chosen[drawn] = _drawn(probs[drawn], [draws[row] for row in drawn])
    return chosen.tolist(), probs.gather(1, chosen[:, None])[:, 0].log().tolist()


def _drawn(probs: Tensor, draws: Sequence[Draw]) -> Tensor:
    """One id a row, [B], from what the row's filters leave of probabilities [B, V]."""
    chosen = _pick(probs, [draw.uniform() for draw in draws])
    own = probs.gather(1, chosen[:, None])[:, 0].tolist()
    left = [row for row, (draw, mass) in enumerate(zip(draws, own)) if draw.filtered and not draw.keeps(mass)]
    for attempt in range(1, _TRIES + 1):
        if not left:
            break
        asked = [draws[row] for row in left]
        stays = _stays(probs[left], chosen[left], asked).tolist()
        left = [row for row, kept in zip(left, stays) if not kept]
        if left:
            asked = [draws[row] for row in left]
            sifted = probs[left] if attempt < _TRIES else _filter(probs[left], asked)
            chosen[left] = _pick(sifted, [draw.uniform(attempt) for draw in asked])
    return chosen


def _pick(probs: Tensor, numbers: Sequence[float]) -> Tensor:
    """Inverse of the cumulative distribution at each row's number: [B] from weights [B, V] that need no normalising.

    Sums are fp64: those of fp32 near 1 have steps of 6e-8, and a token rarer than that would never be drawn.
    """
    size = probs.shape[1]
    whole = size // _BLOCK * _BLOCK
    sums = probs[:, :whole].unflatten(1, (-1, _BLOCK)).sum(-1, dtype=torch.float64)  # [B, blocks]
    sums = torch.cat([sums, probs[:, whole:].sum(-1, keepdim=True, dtype=torch.float64)], dim=1).cumsum(-1)
    at = torch.tensor(numbers, dtype=torch.float64, device=probs.device)[:, None] * sums[:, -1:]
    block = _first_above(sums, at)  # [B, 1]
    before = torch.where(block > 0, sums.gather(1, (block - 1).clamp(min=0)), 0.0)
    ids = block * _BLOCK + torch.arange(_BLOCK, device=probs.device)  # [B, BLOCK]
    inside = probs.gather(1, ids.clamp(max=size - 1)).double().masked_fill(ids >= size, 0.0)
    return (block * _BLOCK + _first_above(inside.cumsum(-1), at - before))[:, 0]


def _first_above(total: Tensor, at: Tensor) -> Tensor:
    """The first column whose sum is above the number, [B, 1]; the last that adds anything, should rounding pass it."""
    found = torch.searchsorted(total, at, right=True)  # right=True: never a column that adds nothing
    return torch.minimum(found, (total < total[:, -1:]).sum(-1, keepdim=True))


def _stays(probs: Tensor, ids: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Whether each row's id is among what its filters leave, [B]: those before it are counted and summed."""
    most, top_p, min_p = _limits(probs, draws)
    own = probs.gather(1, ids[:, None])  # [B, 1]
    # Equal ones stand in the order of their ids, as a stable sort leaves them.
    before = (probs > own) | ((probs == own) & (torch.arange(probs.shape[1], device=probs.device) < ids[:, None]))
    mass = (probs * before).sum(-1, keepdim=True, dtype=torch.float64)
    count = before.sum(-1, keepdim=True)
    kept = (mass <= top_p) & (count < most) & (own >= probs.amax(-1, keepdim=True) * min_p)
    return kept[:, 0]


def _filter(probs: Tensor, draws: Sequence[Draw]) -> Tensor:
    """Zero what top-k, top-p and min-p exclude: [B, V]. The most probable token always stays."""
    most, top_p, min_p = _limits(probs, draws)
    ordered, ids = probs.sort(descending=True, stable=True)
    exact = ordered.double()
    dropped = (exact.cumsum(-1) - exact) > top_p  # what stands before a token: the one that crosses top_p stays
    dropped |= ordered < ordered[:, :1] * min_p
    dropped |= torch.arange(ordered.shape[1], device=probs.device) >= most
    dropped[:, 0] = False
    return torch.zeros_like(probs).scatter(1, ids, ordered.masked_fill(dropped, 0.0))


def _limits(probs: Tensor, draws: Sequence[Draw]) -> tuple[Tensor, Tensor, Tensor]:
    """The rows' top-k (all tokens where it is off), top-p and min-p, [B, 1] each."""
    size, device = probs.shape[1], probs.device
    most = torch.tensor([[draw.top_k if 0 < draw.top_k < size else size] for draw in draws], device=device)
    top_p = torch.tensor([[draw.top_p] for draw in draws], dtype=torch.float64, device=device)
    min_p = torch.tensor([[draw.min_p] for draw in draws], dtype=probs.dtype, device=device)
    return most, top_p, min_p
