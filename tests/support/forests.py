"""Random forests of tokens in depth-first order, for the kernels' tests."""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from hypothesis import strategies as st
from torch import Tensor


def forest(ups: Sequence[int]) -> Tensor:
    """`end` of a forest: token i hangs `ups[i]` above the token before it; 0 is its child, too many a new root."""
    end = [0] * len(ups)
    path: list[int] = []
    for i, up in enumerate(ups):
        for _ in range(min(up, len(path))):
            end[path.pop()] = i
        path.append(i)
    for j in path:
        end[j] = len(ups)
    return torch.tensor(end)


def paths(end: Tensor) -> list[list[int]]:
    """The path of each token, root first, from the definition of `end` alone."""
    return [[j for j in range(i + 1) if int(end[j]) > i] for i in range(len(end))]


def depths(end: Tensor) -> Tensor:
    """Each token's position on its own path."""
    return torch.tensor([len(path) - 1 for path in paths(end)])


def by_path(q: Tensor, k: Tensor, v: Tensor, end: Tensor, q_offset: int = 0, window: int | None = None) -> Tensor:
    """Attention of one query and one head at a time over the keys of its path: nothing of a mask."""
    group = q.shape[1] // k.shape[1]
    rows = []
    for i, path in enumerate(paths(end)):
        if i < q_offset:
            continue
        near = path if window is None else path[-window:]
        heads = []
        for h in range(q.shape[1]):
            keys, values = k[near, h // group], v[near, h // group]
            weights = torch.softmax(keys @ q[i - q_offset, h] / q.shape[-1] ** 0.5, 0)
            heads.append(weights @ values)
        rows.append(torch.stack(heads))
    return torch.stack(rows)


@st.composite
def forests(draw: st.DrawFn, most: int = 40) -> Tensor:
    """Chains, bushes, combs and several trees in a row; sizes even, for left alone hypothesis draws tiny ones."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    fork, far = draw(st.sampled_from([0.05, 0.2, 0.6])), draw(st.sampled_from([2, 10, most]))
    return forest([rng.randint(1, far) if rng.random() < fork else 0 for _ in range(rng.randint(1, most))])


CHAIN = forest([0] * 30)
STARS = forest([0] + [1] * 20 + [9] + [1] * 8)
COMB = forest([0, 0, 1] * 10)  # every second token of the spine carries a leaf
ROOTS = forest([50] * 12)  # one-token trees
