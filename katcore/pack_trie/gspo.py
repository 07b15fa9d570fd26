"""Group sequence policy optimisation: grpo's attempts, advantages, weights, for ratios of segments (method.md § 7.3).

A segment is a sample or one of its turns; a turn is one model call's completion, and its number stands with every term.
The advantage belongs to the whole segment, so there is no baseline of single tokens.
"""

from __future__ import annotations

from katcore.pack_trie.grpo import advantages, weigh
from katcore.pack_trie.objective import PackObjective

OBJECTIVE = PackObjective(weigh, advantages=advantages, needs_logprobs=True, least=2)
