"""Subtrees against a walk over the record: whose sample each sampled token is, and what it stands behind."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcore.pack_trie.stream import items
from katcore.pack_trie.tree import TokenTree
from katcore.records import Node, Pack, Trajectory
from tests.support.options import pack_options
from tests.support.trajectories import attempt, lines, node, token_trees

Occurrence = tuple[tuple[int, ...], int, float]  # tokens up to the trained one, its turn, engine log-prob


def packed(trajectory: Trajectory, counts: Counter[str], **options: object) -> list[Pack]:
    config = pack_options(objective="tst", **options)  # type: ignore[arg-type]
    stream = items(lines(trajectory), config, lambda name, n: counts.update({name: n}))
    return [item.payload for item in stream if isinstance(item.payload, Pack)]


def prefix(pack: Pack, i: int) -> tuple[int, ...]:
    path: tuple[int, ...] = ()
    while i >= 0:
        path, i = (pack.tokens[i], *path), pack.parent[i]
    return path


def naive(nodes: list[Node]) -> dict[int, list[Occurrence]]:
    """For each node that begins a subtree what is trained in it, walking up from every sampled token."""
    found: dict[int, list[Occurrence]] = {}
    turn = 0
    for n in nodes:
        begins = n
        while begins.parent is not None and begins.boundary == "none":
            begins = nodes[begins.parent]
        mine = found.setdefault(begins.id, [])
        above, at = [], n.parent
        while at is not None:
            above, at = (nodes[at].token_ids or []) + above, nodes[at].parent
        for i, token in enumerate(n.token_ids or []):
            if any(a <= i < b for a, b in n.sampled):
                mine.append((tuple(above + (n.token_ids or [])[: i + 1]), turn, -token / 8))
        turn += bool(n.sampled)
    return found


@settings(max_examples=150, deadline=None)
@given(token_trees(), st.integers(0, 2**32))
def test_every_subtree_is_a_sample_and_trains_its_own_tokens_once(nodes: list[Node], seed: int) -> None:
    rng = random.Random(seed)
    for n in nodes[1:]:
        n.boundary = rng.choice(["none", "none", "compaction", "mode", "subagent", "title"])
    wanted = naive(nodes)
    counts: Counter[str] = Counter()
    packs = packed(attempt(nodes, size=1), counts)
    found: dict[int, list[Occurrence]] = {}
    for pack in packs:
        for term, sample in enumerate(pack.term_sample):
            logprob = (pack.engine_logprob or [])[term]
            found.setdefault(sample, []).append((prefix(pack, pack.term_token[term]), pack.term_turn[term], logprob))
    trained = [sorted(subtree) for subtree in wanted.values() if subtree]
    assert sorted(sorted(subtree) for subtree in found.values()) == sorted(trained)
    if packs:
        assert counts["subtrees_dropped"] == len(wanted) - len(trained)
        assert packs[0].step_counts.samples == len(packs[0].samples) == len(trained)
        assert packs[0].step_counts.trained_tokens == sum(map(len, trained))
        assert packs[0].stats.flat == sum(flat(nodes, start) for start in wanted)


def flat(nodes: list[Node], start: int) -> int:
    """Tokens of the paths of one subtree, trained by itself: each ends with the last sampled token that it can."""

    def own(n: Node) -> bool:
        while n.id != start and n.parent is not None and n.boundary == "none":
            n = nodes[n.parent]
        return n.id == start

    def above(n: Node | None) -> int:
        return 0 if n is None else len(n.token_ids or []) + above(None if n.parent is None else nodes[n.parent])

    def sampled_under(n: Node) -> bool:
        return any(c.parent == n.id and own(c) and (bool(c.sampled) or sampled_under(c)) for c in nodes)

    leaves = [n for n in nodes if own(n) and n.sampled and not sampled_under(n)]
    return sum(above(n) - len(n.token_ids or []) + n.sampled[-1][1] for n in leaves)


def compacted() -> Trajectory:
    """A conversation, its compaction behind the shared system prompt, and a call that failed after another one."""
    nodes = [
        node(0, None, [1, 2]),
        node(1, 0, [3]),
        node(2, 1, [4, 5], True),
        node(3, 2, [6]),
        node(4, 3, [7], True),
        node(5, 0, [8], boundary="compaction"),
        node(6, 5, [9, 10], True),
        node(7, 0, [11], boundary="compaction"),  # asked, never answered
        node(8, None, [12], boundary="subagent"),
        node(9, 8, [13], True),
    ]
    return attempt(nodes, size=1)


def test_the_context_above_a_cut_has_no_term_and_is_there_once() -> None:
    counts: Counter[str] = Counter()
    (pack,) = packed(compacted(), counts)
    assert [pack.tokens[i] for i in pack.term_token] == [4, 5, 7, 9, 10, 13]
    assert pack.term_sample == [0, 0, 0, 1, 1, 2] and pack.term_turn == [0, 0, 1, 2, 2, 3]
    assert pack.tokens == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13]
    assert pack.stats.flat == 7 + 5 + 2 and pack.stats.unique == 12
    assert counts["subtrees_dropped"] == 1 and pack.step_counts.samples == 3
    assert [s.trajectory_id for s in pack.samples] == ["g0"] * 3 and set(pack.ce_weight) == {1.0}
    assert prefix(pack, pack.term_token[4]) == (1, 2, 8, 9, 10)


def test_without_a_boundary_it_is_supervised_training() -> None:
    one = attempt([node(0, None, [1]), node(1, 0, [2], True), node(2, 0, [3], True)], size=1)
    counts: Counter[str] = Counter()
    (pack,) = packed(one, counts)
    (plain,) = [i.payload for i in items(lines(one), pack_options(objective="sft"))]
    assert (pack.term_sample, pack.term_token, pack.stats) == (plain.term_sample, plain.term_token, plain.stats)
    assert counts["subtrees_dropped"] == 0


def test_low_rewards_and_paths() -> None:
    counts: Counter[str] = Counter()
    low = compacted()
    assert low.verdict is not None
    low.verdict.reward = 0.5
    assert packed(low, counts) == [] and len(packed(low, counts, min_reward=0.5)) == 1
    fork = attempt(
        [
            node(0, None, [1]),
            node(1, 0, [2], True),
            node(2, 1, [3], True),
            node(3, 1, [4], True),
            node(4, 3, [5], boundary="mode"),
            node(5, 4, [6], True),
        ],
        size=1,
    )
    (pack,) = packed(fork, counts, shared_tokens="path")
    assert [pack.tokens[i] for i in pack.term_token] == [2, 3, 2, 4, 6]
    assert pack.term_sample == [0, 0, 1, 1, 2], "path counts the leaves of each subtree"


@settings(max_examples=60, deadline=None)
@given(token_trees())
def test_all_parts_together_are_the_tree(nodes: list[Node]) -> None:
    tree = TokenTree.of(attempt(nodes))
    whole = tree.part([True] * len(tree.nodes))
    for name in ("tokens", "sampled", "sampled_node", "turn", "engine_logprob"):
        assert getattr(whole, name).tolist() == getattr(tree, name).tolist(), name
    assert (whole.start, whole.parent, whole.version) == (tree.start, tree.parent, tree.version)
    if len(tree.nodes):
        with pytest.raises(IndexError):
            tree.part([True])
