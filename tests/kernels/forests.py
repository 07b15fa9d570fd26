"""Random forests of tokens in depth-first order, for the kernels' tests."""

from __future__ import annotations

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


def forests(most: int = 40) -> st.SearchStrategy[Tensor]:
    """Chains, bushes, combs and several trees in a row."""
    up = st.one_of(st.just(0), st.integers(0, 3), st.integers(0, most))
    return st.lists(up, min_size=1, max_size=most).map(forest)


CHAIN = forest([0] * 30)
STARS = forest([0] + [1] * 20 + [9] + [1] * 8)
COMB = forest([0, 0, 1] * 10)  # every second token of the spine carries a leaf
ROOTS = forest([50] * 12)  # one-token trees
