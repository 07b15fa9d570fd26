"""Small trajectories, hand-made and random, for the tests of packing."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from katcore.records import Node, Scaffold, Trajectory, Verdict, encode
from katcore.streams import Line


def node(
    id: int, parent: int | None, tokens: list[int], sampled: bool | list[tuple[int, int]] = False, **fields: Any
) -> Node:
    """A node whose tokens are prompt, sampled, or sampled in these spans; the log-prob of token t is -t / 8."""
    spans = sampled if isinstance(sampled, list) else [(0, len(tokens))] if sampled else []
    drawn = [t for a, b in spans for t in tokens[a:b]]
    fields = {"engine_logprobs": [-t / 8 for t in drawn] if spans else None} | fields
    return Node(id=id, parent=parent, role="assistant" if spans else "user", token_ids=tokens, sampled=spans, **fields)


def attempt(
    nodes: list[Node], sample: int = 0, group: str = "g", size: int = 2, reward: float | None = 1.0, **fields: Any
) -> Trajectory:
    """One sample of a group, with a verdict unless `reward` is None."""
    verdict = None if reward is None else Verdict(reward=reward, passed=reward >= 1)
    fields = {"id": f"{group}{sample}", "verdict": verdict, "tokenizer": "abc"} | fields
    return Trajectory(
        task_id=f"task-{group}", group_id=group, group_size=size, sample_index=sample, scaffold=Scaffold(name="x"),
        model="m", nodes=nodes, **fields,
    )  # fmt: skip


def lines(*records: Any) -> list[Line]:
    """The records as a stream has them."""
    return [Line(record, encode(record), n, "in.jsonl") for n, record in enumerate(records, 1)]


@st.composite
def token_trees(draw: st.DrawFn) -> list[Node]:
    """Forests of up to nine nodes over three tokens, so that siblings and samples often begin alike."""
    nodes = [node(0, None, draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))]
    for i in range(1, draw(st.integers(1, 9))):
        tokens = draw(st.lists(st.integers(1, 3), max_size=5))
        parent = draw(st.integers(0, i - 1))
        spans: list[tuple[int, int]] = []
        if tokens and draw(st.booleans()):
            a, b = sorted(draw(st.tuples(st.integers(0, len(tokens)), st.integers(0, len(tokens)))))
            spans = [(a, b)] if a < b else [(0, len(tokens))]
        nodes.append(node(i, parent, tokens, spans))
    return nodes
