"""Small trajectories, hand-made and random, for the tests of packing."""

from __future__ import annotations

import random
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
    """Trees of up to twelve nodes over three tokens, so that siblings and samples often begin alike."""
    rng = random.Random(draw(st.integers(0, 2**32)))  # left alone, hypothesis draws trees that are nearly empty
    nodes = [node(0, None, [rng.randint(1, 3) for _ in range(rng.randint(1, 3))])]
    for i in range(1, rng.randint(1, 12)):
        tokens = [rng.randint(1, 3) for _ in range(rng.randint(0, 5))]
        spans: list[tuple[int, int]] = []
        if tokens and rng.random() < 0.6:
            a, b = sorted(rng.sample(range(len(tokens) + 1), 2))
            spans = rng.choice([[(a, b)], [(0, len(tokens))]])
        nodes.append(node(i, rng.choice([i - 1, rng.randrange(i)]), tokens, spans))
    return nodes
