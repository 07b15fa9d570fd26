"""Tree attention as a few calls of torch's scaled_dot_product_attention: the CPU path, and a portable GPU path.

In depth-first order any run of queries [a, b) sees only keys of [a, b) itself and of the path above token a: an
ancestor of a later token that lies before a is an ancestor of a too. So a row is cut into runs; each gathers the K/V of
its path and masks by `end` what little of it is foreign. Runs are the unary chains (for which the mask is the plain
causal one, aligned bottom-right); chains so small that a call of their own would cost more than the pairs that it
saves are merged. Below a prefix a long chain's queries go in several calls, each with the keys up to its own end: SDPA
skips the causal half only where it starts at the first key.

What this does not do: K/V are gathered once per run, Σ path length rows in all, so very many leaves below a very long
prefix cost memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

LONGEST = 128  # queries of one call below a prefix: of a chain's own pairs length · LONGEST / 2 too many are computed
CALL_PAIRS = 8192  # query-key pairs that take as long as one more call does


@dataclass(frozen=True)
class Run:
    """Queries [start, stop) and the keys that they may see: the path above `start`, then [start, stop)."""

    start: int
    stop: int
    above: int  # keys before `start`
    chain: bool  # every query sees every key up to itself


@dataclass(frozen=True)
class Plan:
    """How one row is cut, made once from `end` and used by all layers; `gather` has the keys of all runs in order."""

    queries: int
    keys: int
    q_offset: int
    runs: tuple[Run, ...]
    gather: Tensor  # [Σ keys of a run] int64, on the device of `end`


@dataclass
class _Chain:
    """Tokens [start, stop) without a fork or a leaf inside, and the ancestors' chains."""

    start: int
    stop: int
    above: list[tuple[int, int]]  # ranges of the path, root first
    depth: int  # tokens in `above`


def make_plan(end: Tensor, queries: int, q_offset: int = 0) -> Plan:
    """Cut queries [q_offset, q_offset + queries) of a row into runs; ValueError when subtrees do not nest."""
    ends = end.detach().to("cpu", torch.int64)
    runs: list[Run] = []
    keys: list[Tensor] = []
    for chains in _merged(_chains(ends, q_offset, q_offset + queries)):
        first, stop = chains[0], chains[-1].stop
        runs.append(Run(first.start, stop, first.depth, len(chains) == 1))
        keys += [torch.arange(a, b) for a, b in first.above] + [torch.arange(first.start, stop)]
    gather = torch.cat(keys) if keys else torch.empty(0, dtype=torch.int64)
    return Plan(queries, len(ends), q_offset, tuple(runs), gather.to(end.device))


def _chains(ends: Tensor, start: int, stop: int) -> Iterator[_Chain]:
    """The unary chains of [start, stop) in order."""
    size = len(ends)
    if bool((ends <= torch.arange(size)).any()) or bool((ends > size).any()):
        raise ValueError("end[j] must lie in (j, Nk]")
    # A token continues its predecessor's chain iff it is its only child, and then both subtrees end together.
    cuts = (torch.nonzero(ends[1:] != ends[:-1])[:, 0] + 1).tolist()
    bounds = sorted({0, start, stop, size, *cuts})
    path: list[tuple[int, int, int]] = []  # open chains (start, stop, end of the subtree)
    for a, b in pairwise(bounds):
        last = int(ends[a])
        while path and path[-1][2] <= a:
            path.pop()
        if path and last > path[-1][2]:
            raise ValueError(f"token {a}'s subtree ends after that of the token above it")
        above = [(lo, hi) for lo, hi, _ in path]
        if start <= a < stop:
            yield _Chain(a, b, above, sum(hi - lo for lo, hi in above))
        path.append((a, b, last))


def _merged(chains: Iterator[_Chain]) -> Iterator[list[_Chain]]:
    """Neighbours in one run while that computes at most CALL_PAIRS more pairs than two calls would."""
    run: list[_Chain] = []
    for chain in chains:
        if run:
            first = run[0]
            own, more = chain.start - first.start, chain.stop - chain.start
            apart = own * (first.depth + own) + more * (chain.depth + more)
            if (own + more) * (first.depth + own + more) - apart > CALL_PAIRS or own + more > LONGEST:
                yield run
                run = []
        run.append(chain)
    if run:
        yield run


def attend_segments(q: Tensor, k: Tensor, v: Tensor, end: Tensor, plan: Plan, scale: float) -> Tensor:
    """One SDPA call a run: q [Nq, H, D], k and v [Nk, Hkv, D] → [Nq, H, D]."""
    if not plan.runs:
        return torch.zeros_like(q)
    sizes = [run.above + run.stop - run.start for run in plan.runs]
    # One gather for all runs: its backward is one index_add, where a gather for each run would add up whole gradients.
    ks, vs = (x.index_select(0, plan.gather).split(sizes) for x in (k, v))
    indices = plan.gather.split(sizes)
    qs = q.split([run.stop - run.start for run in plan.runs])
    return torch.cat([_attend_run(*x, end, scale) for x in zip(plan.runs, qs, ks, vs, indices)])


def _attend_run(run: Run, q: Tensor, k: Tensor, v: Tensor, index: Tensor, end: Tensor, scale: float) -> Tensor:
    """The run's queries [L, H, D] over its keys [P, Hkv, D], which are those at `index` [P] of the row."""
    if run.chain and run.above == 0:
        return _sdpa(q, k, v, scale, causal=True)
    parts = []
    for a in range(0, len(q), LONGEST):
        b = min(a + LONGEST, len(q))
        keys = run.above + b
        mask = None if b - a == 1 and run.chain else _mask(run, run.start + a, run.start + b, index[:keys], end)
        parts.append(_sdpa(q[a:b], k[:keys], v[:keys], scale, mask=mask))
    return torch.cat(parts)


def _mask(run: Run, start: int, stop: int, index: Tensor, end: Tensor) -> Tensor:
    """Which keys the queries [start, stop) see: [L, P]."""
    i = torch.arange(start, stop, device=index.device)[:, None]
    causal = index[None, :] <= i
    return causal if run.chain else causal & (i < end[index][None, :])


def _sdpa(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """torch's attention of q [L, H, D] over k, v [P, Hkv, D]; its causal mask is aligned top-left."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))  # [1, H, L, D]
    gqa = q.shape[1] != k.shape[1]
    out = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=gqa)
    return out[0].transpose(0, 1)
