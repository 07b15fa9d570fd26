"""Tree attention as a few calls of torch's scaled_dot_product_attention: for windows, and a portable GPU path.

In depth-first order any run of queries [a, b) sees only keys of [a, b) itself and of the path above token a: an
ancestor of a later token that lies before a is an ancestor of a too. So a row is cut into runs; each gathers the K/V of
its path and masks by `end` what little of it is foreign. Runs are the unary chains (for which the mask is the plain
causal one, aligned bottom-right); chains so small that a call of their own would cost more than the pairs that it
saves are merged. Below a prefix a long chain's queries go in several calls, each with the keys up to its own end: SDPA
skips the causal half only where it starts at the first key. Under a window long chains are cut into runs about as long
as the window, and what no query of a run can reach is not gathered: a row costs O(N · window), not O(N · depth).

What this does not do: K/V are gathered once per run, Σ path length rows in all, so very many leaves below a very long
prefix cost memory. On a CPU and without a window `chains.py` needs no gather.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

# The most queries of one call below a prefix. Half of the pairs of such a piece with itself lie after the query and are
# computed in vain: length · LONGEST / 2 pairs for a whole chain.
LONGEST = 128
CALL_PAIRS = 8192  # query-key pairs that take as long as one more call does


@dataclass(frozen=True)
class Run:
    """Queries [start, stop) and the keys that they may see: some of the path above `start`, then [start, stop)."""

    start: int
    stop: int
    above: int  # keys before `start`
    chain: bool  # every query sees every key up to itself, as far as the window lets it
    near: bool  # no query is too far from any key for the window


@dataclass(frozen=True)
class Segments:
    """The runs of one row; `gather` has the key indices of all runs, one run after the other."""

    runs: tuple[Run, ...]
    gather: Tensor  # [Σ keys of a run] int64, on the device of `end`


@dataclass
class _Chain:
    """Tokens [start, stop) without a fork or a leaf inside, and the ancestors' chains."""

    start: int
    stop: int
    above: list[tuple[int, int]]  # ranges of the path, root first
    depth: int  # tokens in `above`


def cut(
    end: Tensor, queries: int, q_offset: int = 0, depth: Tensor | None = None, window: int | None = None
) -> Segments:
    """Cut queries [q_offset, q_offset + queries) of a forest into runs; a window needs depths."""
    ends = end.detach().to("cpu", torch.int64)
    depths = None if depth is None or window is None else depth.detach().to("cpu", torch.int64)
    pieces = _chains(ends, q_offset, q_offset + queries, window)
    runs: list[Run] = []
    keys: list[Tensor] = []
    for chains in _merged(pieces, window):
        first, stop = chains[0], chains[-1].stop
        above = [torch.arange(a, b) for a, b in first.above]
        path, near = torch.cat(above) if above else torch.empty(0, dtype=torch.int64), True
        if depths is not None and window is not None:
            own = depths[first.start : stop]
            path = path[int(own.min()) - depths[path] < window]  # in reach of the query nearest to the root
            near = int(own.max() - torch.cat([own, depths[path]]).min()) < window
        runs.append(Run(first.start, stop, len(path), len(chains) == 1, near))
        keys += [path, torch.arange(first.start, stop)]
    gather = torch.cat(keys) if keys else torch.empty(0, dtype=torch.int64)
    return Segments(tuple(runs), gather.to(end.device))


def _chains(ends: Tensor, start: int, stop: int, window: int | None) -> Iterator[_Chain]:
    """The unary chains of [start, stop) in order; under a window the long ones in pieces."""
    size = len(ends)
    # A token continues its predecessor's chain iff it is its only child, and then both subtrees end together.
    forks = {0, start, stop, size, *(torch.nonzero(ends[1:] != ends[:-1])[:, 0] + 1).tolist()}
    if window is not None:
        piece = max(window, LONGEST)
        forks |= {a for lo, hi in pairwise(sorted(forks)) if start <= lo < stop for a in range(lo, hi, piece)}
    path: list[tuple[int, int, int]] = []  # open chains (start, stop, end of the subtree)
    for a, b in pairwise(sorted(forks)):
        while path and path[-1][2] <= a:
            path.pop()
        above = [(lo, hi) for lo, hi, _ in path]
        if start <= a < stop:
            yield _Chain(a, b, above, sum(hi - lo for lo, hi in above))
        path.append((a, b, int(ends[a])))


def _merged(chains: Iterator[_Chain], window: int | None) -> Iterator[list[_Chain]]:
    """Neighbours in one run while that computes at most CALL_PAIRS more pairs than two calls would."""
    run: list[_Chain] = []
    for chain in chains:
        if run:
            depth, deeper = (min(x.depth, window or x.depth) for x in (run[0], chain))
            own, more = chain.start - run[0].start, chain.stop - chain.start
            # Pairs of two calls, against those of one call in which all queries meet the keys of both.
            apart = own * (depth + own) + more * (deeper + more)
            if (own + more) * (depth + own + more) - apart > CALL_PAIRS or own + more > LONGEST:
                yield run
                run = []
        run.append(chain)
    if run:
        yield run


@dataclass(frozen=True)
class _Mask:
    """The row's tensors from which `_mask` makes the mask of a call."""

    end: Tensor  # [Nk]
    depth: Tensor | None  # [Nk]
    window: int | None


def attend_segments(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    segments: Segments,
    scale: float,
    end: Tensor,
    depth: Tensor | None = None,
    window: int | None = None,
) -> Tensor:
    """One SDPA call a run: q [Nq, H, D], k and v [Nk, Hkv, D] → [Nq, H, D]."""
    sizes = [run.above + run.stop - run.start for run in segments.runs]
    # One gather for all runs: its backward is one index_add, where a gather for each run would add up whole gradients.
    ks, vs = (x.index_select(0, segments.gather).split(sizes) for x in (k, v))
    indices = segments.gather.split(sizes)
    qs = q.split([run.stop - run.start for run in segments.runs])
    mask = _Mask(end, depth, window)
    return torch.cat([_attend_run(*x, mask, scale) for x in zip(segments.runs, qs, ks, vs, indices)])


def _attend_run(run: Run, q: Tensor, k: Tensor, v: Tensor, index: Tensor, mask: _Mask, scale: float) -> Tensor:
    """The run's queries [L, H, D] over its keys [P, Hkv, D], which are those at `index` [P] of the row."""
    if run.chain and run.near and run.above == 0:
        return _sdpa(q, k, v, scale, causal=True)
    parts = []
    for a in range(0, len(q), LONGEST):
        b = min(a + LONGEST, len(q))
        keys = run.above + b
        all_seen = b - a == 1 and run.chain and run.near
        chosen = None if all_seen else _mask(run, run.start + a, run.start + b, index[:keys], mask)
        parts.append(_sdpa(q[a:b], k[:keys], v[:keys], scale, mask=chosen))
    return torch.cat(parts)


def _mask(run: Run, start: int, stop: int, index: Tensor, mask: _Mask) -> Tensor:
    """Which of the keys at `index` [P] the queries [start, stop) see: bool [L, P], L = stop − start."""
    i = torch.arange(start, stop, device=index.device)[:, None]
    seen = index[None, :] <= i
    if not run.chain:
        seen = seen & (i < mask.end[index][None, :])
    if not run.near:
        assert mask.depth is not None and mask.window is not None
        seen = seen & (mask.depth[start:stop, None] - mask.depth[index][None, :] < mask.window)
    return seen


def _sdpa(q: Tensor, k: Tensor, v: Tensor, scale: float, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """torch's attention of q [L, H, D] over k, v [P, Hkv, D]; its causal mask is aligned top-left."""
    q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))  # [1, H, L, D]
    gqa = q.shape[1] != k.shape[1]
    out = scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal, scale=scale, enable_gqa=gqa)
    return out[0].transpose(0, 1)
