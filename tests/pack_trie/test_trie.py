"""The token trie against a naive one: a set of prefixes, built token by token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcore.errors import RecordError
from katcore.pack_trie.tree import TokenTree
from katcore.pack_trie.trie import Trie, merge
from katcore.records import Node
from tests.support.trajectories import attempt, node, token_trees

Prefix = tuple[int, ...]


def naive_prefixes(nodes: Sequence[Node]) -> list[Prefix]:
    """For each token of each node, in order, the tokens from the root to it."""
    whole: dict[int, Prefix] = {}
    prefixes = []
    for n in nodes:
        path = whole[n.parent] if n.parent is not None else ()
        for token in n.token_ids or []:
            path += (token,)
            prefixes.append(path)
        whole[n.id] = path
    return prefixes


def prefix_of(trie: Trie, i: int) -> Prefix:
    path: Prefix = ()
    while i >= 0:
        path, i = (int(trie.tokens[i]), *path), int(trie.parent[i])
    return path


def kept(tree: TokenTree) -> list[Node]:
    """The tree's nodes with the tokens that it has left of them."""
    cut = [tree.tokens[a:b].tolist() for a, b in zip(tree.start, tree.start[1:])]
    return [Node(id=n.id, parent=n.parent, role=n.role, token_ids=t) for n, t in zip(tree.nodes, cut)]


@settings(max_examples=150, deadline=None)
@given(st.lists(token_trees(), min_size=1, max_size=4))
def test_equals_a_trie_of_prefixes(samples: list[list[Node]]) -> None:
    trees = [TokenTree.of(attempt(nodes)) for nodes in samples]
    trie, places = merge(trees)
    prefixes = [naive_prefixes(kept(tree)) for tree in trees]
    found = [prefix_of(trie, i) for i in range(len(trie))]
    assert len(set(found)) == len(found), "a token is there twice"
    assert set(found) == {prefix for sample in prefixes for prefix in sample}
    for place, sample in zip(places, prefixes):
        assert [found[i] for i in place.tolist()] == sample


@settings(max_examples=150, deadline=None)
@given(st.lists(token_trees(), min_size=1, max_size=4))
def test_flattened_depth_first(samples: list[list[Node]]) -> None:
    trie, _ = merge([TokenTree.of(attempt(nodes)) for nodes in samples])
    parent = trie.parent.tolist()
    below = [[i] for i in range(len(trie))]  # each token's subtree, from `parent` alone
    for i in reversed(range(len(trie))):
        assert parent[i] < i
        if parent[i] >= 0:
            below[parent[i]] += below[i]
    for i, subtree in enumerate(below):
        assert sorted(subtree) == list(range(i, int(trie.end[i]))), "a subtree is an interval"
        assert trie.depth[i] == len(prefix_of(trie, i)) - 1
    assert all(x.dtype == np.int32 for x in (trie.tokens, trie.parent, trie.depth, trie.end))


def test_children_stand_in_the_order_of_arrival() -> None:
    first = attempt([node(0, None, [5, 6, 7], [(1, 3)])])
    second = attempt([node(0, None, [5, 1, 2], [(1, 3)])], 1)
    third = attempt([node(0, None, [5, 6, 0], [(1, 3)])], 2)
    trie, places = merge([TokenTree.of(t) for t in (first, second, third)])
    assert trie.tokens.tolist() == [5, 6, 7, 0, 1, 2]
    assert trie.parent.tolist() == [-1, 0, 1, 1, 0, 4]
    assert trie.end.tolist() == [6, 4, 3, 4, 6, 6]
    assert [p.tolist() for p in places] == [[0, 1, 2], [0, 4, 5], [0, 1, 3]]


def test_a_chain_that_is_divided_again_and_again() -> None:
    """Nodes that hang below a chain are still found after it was cut, in front of them and behind them."""
    trunk = list(range(100, 120))
    deep = [node(0, None, trunk), node(1, 0, [1], True), node(2, 0, [2], True)]
    samples = [attempt(deep)] + [attempt([node(0, None, [*trunk[:k], 7], [(k, k + 1)])], k) for k in (10, 4, 15, 19, 1)]
    samples.append(attempt([*deep, node(3, 1, [3], True)], 99))
    trees = [TokenTree.of(t) for t in samples]
    trie, places = merge(trees)
    assert len(trie) == 20 + 2 + 5 + 1
    for tree, place in zip(trees, places):
        assert [prefix_of(trie, i) for i in place.tolist()] == naive_prefixes(kept(tree))


@pytest.mark.parametrize("cuts", [(8, 5, 2), (2, 5, 8), (5, 8, 2), (5, 2, 8)])
def test_a_node_whose_chain_was_divided_by_its_siblings_goes_on_below_its_own_end(cuts: tuple[int, ...]) -> None:
    trunk = list(range(100, 110))
    siblings = [node(2 + i, 0, [*trunk[:cut], 7], True) for i, cut in enumerate(cuts)]
    below = [node(9, 1, [3], True), node(10, 3, [4], True)]
    tree = TokenTree.of(attempt([node(0, None, [1]), node(1, 0, trunk, True), *siblings, *below]))
    trie, (place,) = merge([tree])
    assert len(trie) == 1 + 10 + 3 + 2
    assert [prefix_of(trie, i) for i in place.tolist()] == naive_prefixes(kept(tree))


def test_other_roots_make_a_forest() -> None:
    trees = [TokenTree.of(attempt([node(0, None, [t, 9], [(1, 2)])])) for t in (4, 5, 4)]
    trie, _ = merge(trees)
    assert trie.tokens.tolist() == [4, 9, 5, 9] and trie.end.tolist() == [2, 2, 4, 4]


def test_what_follows_the_last_completion_of_a_branch_is_left_out() -> None:
    nodes = [
        node(0, None, [1, 2]),
        node(1, 0, [3, 4, 5], [(0, 2)]),  # the last token, after the sampled ones, predicts nothing
        node(2, 0, [6]),
        node(3, 2, [7], True),
        node(4, 3, [8, 8, 8]),  # an observation that nothing answers
        node(5, 0, [9]),
    ]
    tree = TokenTree.of(attempt(nodes))
    assert [n.id for n in tree.nodes] == [0, 1, 2, 3]
    assert tree.tokens.tolist() == [1, 2, 3, 4, 6, 7]
    assert tree.sampled.tolist() == [2, 3, 5] and tree.turn.tolist() == [0, 0, 1]
    assert tree.flat == 4 + 4


def test_versions_and_log_probs_belong_to_the_sampled_tokens() -> None:
    spans = [(1, 3), (4, 5)]
    tree = TokenTree.of(
        attempt([node(0, None, [1]), node(1, 0, [2, 3, 4, 5, 6, 7], spans, versions=[(0, "v1"), (2, "v2")])])
    )
    assert tree.version == ["v1", "v2", "v2"]
    assert tree.engine_logprob.tolist() == [-3 / 8, -4 / 8, -6 / 8]
    scripted = TokenTree.of(attempt([node(0, None, [1]), node(1, 0, [2], True, engine_logprobs=None)]))
    assert np.isnan(scripted.engine_logprob).all() and scripted.version == [""]


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([Node(id=0, role="user", message={"content": "hi"})], "text without tokens"),
        ([node(0, None, [1, 2], [(1, 3)])], "outside its 2 tokens"),
        ([node(0, None, [1, 2], [(1, 1)])], "outside its 2 tokens"),
        ([node(0, None, [1, 2, 3], [(1, 3), (2, 3)])], "outside its 3 tokens"),
        ([node(0, None, [1, 2], [(-1, 1)])], "outside its 2 tokens"),
        ([node(0, None, [1, 2], [(1, 2)], engine_logprobs=[-1.0, -2.0])], "2 log-probs of 1 sampled"),
        ([node(0, None, [1]), node(0, None, [1])], "two nodes have one id"),
        ([node(0, 1, [1]), node(1, None, [1])], "does not come after its parent"),
        ([node(0, 7, [1])], "does not come after its parent"),
        ([node(0, None, [1, 2], True)], "no prompt before it"),
        ([node(0, None, []), node(1, 0, [1, 2], True)], "no prompt before it"),
    ],
)
def test_records_that_contradict_themselves_are_refused(nodes: list[Node], reason: str) -> None:
    with pytest.raises(RecordError, match=reason):
        TokenTree.of(attempt(nodes))


def test_nothing_sampled_leaves_nothing() -> None:
    tree = TokenTree.of(attempt([node(0, None, [1, 2])]))
    assert len(tree.tokens) == len(tree.sampled) == tree.flat == 0
    trie, places = merge([tree])
    assert len(trie) == 0 and [len(p) for p in places] == [0]
