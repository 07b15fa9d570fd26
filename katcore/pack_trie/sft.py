"""Supervised training on verified attempts: every sampled token of an attempt with enough reward counts 1."""

from __future__ import annotations

from katcore.pack_trie.objective import PackObjective
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.terms import Weights
from katcore.pack_trie.tree import TokenTree
from katcore.records import Verdict


def low_reward(verdict: Verdict | None, settings: PackOptions) -> str:
    """Why an attempt is not good enough to imitate; empty when it is."""
    if verdict is None or verdict.reward >= settings.floor.min_reward:
        return ""
    return f"reward {verdict.reward:g} is below {settings.floor.min_reward:g}"


def weigh(tree: TokenTree, settings: PackOptions) -> Weights:
    """Cross-entropy weight 1 for every sampled token; the trainer divides by the step's trained tokens."""
    return Weights.of(tree, ce=1.0)


OBJECTIVE = PackObjective(weigh, turn_away=low_reward)
