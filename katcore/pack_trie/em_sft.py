"""Error-masked supervised training (method.md § 4.1).

The tokens of a tool call that failed get weight 0: its own span, so that of several parallel calls only the failed one
is masked, or its whole turn. Observation and later correction stay as they are. A command that ran and exited non-zero
is not a failed call. Masked tokens keep their terms, and so their place in every denominator.

A call of which nobody tells what became of it is not masked, and counted as `outcomes_unknown`; so is an `ok` of older
records that does not say whose it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from katcore.pack_trie.objective import PackObjective
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.sft import low_reward
from katcore.pack_trie.terms import Weights
from katcore.pack_trie.tree import TokenTree
from katcore.records import Node

FAILED = frozenset({"invalid_arguments", "unknown_tool", "tool_error", "denied", "timeout"})


def weigh(tree: TokenTree, settings: PackOptions) -> Weights:
    """Cross-entropy weight 1, and 0 where a tool call failed."""
    weights = Weights.of(tree, ce=1.0)
    for k, node in enumerate(tree.nodes):
        for call in node.tool_calls:
            if call.outcome not in FAILED:
                continue
            begin, end = tree.start[k], tree.start[k + 1]
            if settings.credit.mask == "span" and call.span is not None:  # a call that nobody can place may be anywhere
                begin, end = begin + call.span[0], min(begin + call.span[1], end)
            first, last = np.searchsorted(tree.sampled, (begin, end))
            weights.ce[first:last] = 0.0
    return weights


def tally(nodes: Sequence[Node]) -> dict[str, int]:
    """How many tool calls there are, and of how many the outcome is not known."""
    calls = [call for node in nodes for call in node.tool_calls]
    unknown = sum(call.outcome is None or (call.outcome == "ok" and call.outcome_by is None) for call in calls)
    return {"tool_calls": len(calls), "outcomes_unknown": unknown}


OBJECTIVE = PackObjective(weigh, turn_away=low_reward, tally=tally)
