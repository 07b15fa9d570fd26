"""Group-relative policy optimisation: advantages inside a task's group (METHOD § 7.1).

A_i = (r_i − mean r) / (std r + ε) over the unmasked samples, population std. A group of which all have the same reward
is kept, with advantages 0: its tokens belong to the step's denominators. Ratios, clipping and rescaling are the
trainer's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from katcore.pack_trie.objective import Objective
from katcore.pack_trie.settings import Settings
from katcore.pack_trie.terms import Weights
from katcore.pack_trie.tree import TokenTree

EPSILON = 1e-6


def advantages(rewards: Sequence[float]) -> list[float]:
    """One advantage a sample."""
    r = np.array(rewards, np.float64)
    if r.max() == r.min():  # a mean off by one rounding over ε alone would not be 0
        return [0.0] * len(r)
    scaled: list[float] = ((r - r.mean()) / (r.std() + EPSILON)).tolist()
    return scaled


def weigh(tree: TokenTree, settings: Settings) -> Weights:
    """Policy-gradient weight 1 for every sampled token; the advantage stands with the sample."""
    return Weights.of(tree, rl=1.0)


OBJECTIVE = Objective(weigh, advantages=advantages, needs_logprobs=True, least=2)
