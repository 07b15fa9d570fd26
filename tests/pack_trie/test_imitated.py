"""A teacher's turns that were refused, filtered or cut are context of what follows, and nobody's target."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from katcore.model.folder import load
from katcore.pack_trie.stream import items
from katcore.records import Call, Node, Pack, Trajectory
from tests.support.options import pack_options
from tests.support.trajectories import attempt, lines

SUPERVISED = ["sft", "em-sft", "tst", "rft"]


def text_attempt(*reasons: str, boundary: Any = "none") -> Trajectory:
    """A teacher's text of one turn for each finish reason; turn n says `word n`. The last turn has the boundary."""
    nodes, calls = [Node(id=0, role="user", message={"role": "user", "content": "Fix it."})], []
    for n, reason in enumerate(reasons):
        said = {"role": "assistant", "content": f"word {n}"}
        where = "none" if n < len(reasons) - 1 else boundary
        nodes.append(
            Node(id=2 * n + 1, parent=2 * n, role="assistant", message=said, origin="external", boundary=where)
        )
        more = {"role": "user", "content": f"more {n}"}
        nodes.append(Node(id=2 * n + 2, parent=2 * n + 1, role="user", message=more, turn=n + 1))
        calls.append(Call(id=n, node=2 * n + 1, started_at="2026-01-01T00:00:00Z", finish_reason=reason))
    return attempt(nodes, size=1, tokenizer="", calls=calls)


def packed(*records: Trajectory, objective: str) -> tuple[list[Any], Counter[str]]:
    counts: Counter[str] = Counter()

    def count(name: str, n: int) -> None:
        counts[name] += n

    return [item.payload for item in items(lines(*records), pack_options(objective=objective), count)], counts


def trained(pack: Pack) -> str:
    """The text of all trained tokens with a weight."""
    weights = zip(pack.term_token, pack.ce_weight)
    return load().decode([pack.tokens[token] for token, weight in weights if weight])


@pytest.mark.parametrize("objective", SUPERVISED)
@pytest.mark.parametrize("reason", ["refusal", "content_filter", "length"])
def test_a_turn_that_was_refused_filtered_or_cut_is_not_trained(reason: str, objective: str) -> None:
    (pack,), counts = packed(text_attempt("tool_calls", reason, "stop"), objective=objective)
    assert "word 0" in trained(pack) and "word 2" in trained(pack) and "word 1" not in trained(pack)
    assert "word 1" in load().decode(list(pack.tokens)), "it is context of the turn behind it"
    assert counts["turns_not_imitated"] == 1


@pytest.mark.parametrize("objective", SUPERVISED)
def test_an_attempt_of_refusals_alone_is_turned_away(objective: str) -> None:
    (reason,), _ = packed(text_attempt("refusal", "length"), objective=objective)
    assert "sampled" in str(reason)


def test_a_subtree_whose_only_turn_was_cut_is_left_out() -> None:
    (pack,), counts = packed(text_attempt("stop", "length", boundary="compaction"), objective="tst")
    assert trained(pack).startswith("word 0") and len(pack.samples) == 1 and counts["turns_not_imitated"] == 1


def test_calls_that_all_failed_leave_nothing_to_imitate() -> None:
    given = text_attempt("stop")
    given.calls[0].node, given.calls[0].error = None, "EngineError: away"
    (reason,), _ = packed(given, objective="sft")
    assert "sampled" in str(reason)
