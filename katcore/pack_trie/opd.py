"""On-policy distillation: the student's own tokens, to be scored by a teacher (method.md § 8). Needs no reward."""

from __future__ import annotations

from katcore.pack_trie.objective import PackObjective
from katcore.pack_trie.settings import PackSettings
from katcore.pack_trie.terms import Weights
from katcore.pack_trie.tree import TokenTree


def weigh(tree: TokenTree, settings: PackSettings) -> Weights:
    """Distillation weight 1 for every sampled token; `kat-distill score` adds the teacher's log-probs."""
    return Weights.of(tree, kl=1.0)


OBJECTIVE = PackObjective(weigh, needs_reward=False, needs_logprobs=True)
