"""Rejection fine-tuning: supervised training on the best of a task's own attempts (after arXiv 2308.01825).

Attempts below `--min-reward` are turned away, then those that sample exactly what another one did (the same tokens
after the same tokens), then all but the `--top` best: the higher reward first, of equals the shortest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from katcore.pack_trie.objective import PackObjective, Refusal
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.sft import low_reward, weigh
from katcore.pack_trie.tree import TokenTree
from katcore.pack_trie.trie import merge


def choose(trees: Sequence[TokenTree], rewards: Sequence[float], settings: PackOptions) -> list[Refusal]:
    """Why each attempt of a group is not taken; length counts sampled tokens, ties go to the earlier attempt."""
    refusals: list[Refusal] = [None] * len(trees)
    seen: set[bytes] = set()
    order = sorted(range(len(trees)), key=lambda i: (-rewards[i], len(trees[i].sampled), i))
    _, places = merge(trees)
    left = settings.top or len(trees)
    for i in order:
        what = np.unique(places[i][trees[i].sampled]).tobytes()  # a place in the trie is a token with all before it
        if not what:
            refusals[i] = ("tokens", "nothing in it was sampled")
        elif what in seen:
            refusals[i] = ("duplicate", "another attempt of its group sampled the same")
        elif not left:
            refusals[i] = ("top", f"its group has {settings.top} better or shorter attempts")
        left -= refusals[i] is None
        seen.add(what)
    return refusals


OBJECTIVE = PackObjective(weigh, turn_away=low_reward, choose=choose)
