"""Group-relative policy optimisation: advantages inside a task's group (method.md § 7.1).

A_i = (r_i − mean r) / (std r + ε) over the unmasked samples, population std. A group of which all have the same reward
is kept, with advantages 0: its tokens belong to the step's denominators. Ratios, clipping and rescaling are the
trainer's.

With `--baseline trie` (ours) the group's samples are read as a tree of decisions: V(u) is the mean reward of the
samples that pass through token u, and the token's advantage is (V(u) − V(parent of u)) / (std r + ε). Along a path it
sums to the group's advantage of the leaf, but stands where paths part: tokens that all samples share, and the tail of a
sample after it went its own way, carry none. The score function has mean 0 there: those tokens only add variance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from katcore.pack_trie.objective import PackObjective
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.terms import Weights
from katcore.pack_trie.tree import Floats, Index, Ints, TokenTree

EPSILON = 1e-6


def advantages(rewards: Sequence[float]) -> list[float]:
    """The advantages of a group's samples from their rewards, one each: (r − mean r) / (std r + ε)."""
    r = np.array(rewards, np.float64)
    if r.max() == r.min():  # a mean off by one rounding over ε alone would not be 0
        return [0.0] * len(r)
    scaled: list[float] = ((r - r.mean()) / (r.std() + EPSILON)).tolist()  # numpy's std is the population's
    return scaled


def branch_advantages(
    rewards: Sequence[float], places: Sequence[Index], parent: Ints, tokens: Sequence[Index]
) -> list[Floats]:
    """For each sample the advantages of its trained `tokens`, (V(u) − V(parent of u)) / (std r + ε).

    `places` are, for each sample, all tokens of the trie that it passes through; `parent` [N] is the trie's.
    """
    total, count = np.zeros(len(parent) + 1), np.zeros(len(parent) + 1)  # the last entry stands above the roots
    for reward, place in zip(rewards, places):
        through = np.append(np.unique(place), len(parent))  # unique: a sample that forks counts once a token
        total[through] += reward
        count[through] += 1
    value = total / np.maximum(count, 1)  # V [N + 1]; a root's parent is -1, which is the last entry
    gain = (value[:-1] - value[parent]) / (np.std(np.array(rewards, np.float64)) + EPSILON)
    return [gain[which].astype(np.float32) for which in tokens]


def weigh(tree: TokenTree, settings: PackOptions) -> Weights:
    """Policy-gradient weight 1 for every sampled token; the advantage stands with the sample."""
    return Weights.of(tree, rl=1.0)


OBJECTIVE = PackObjective(
    weigh, advantages=advantages, branch_advantages=branch_advantages, needs_logprobs=True, least=2
)
