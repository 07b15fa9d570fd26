"""Parts of a forest: every token once, none above the budget, each below one token; and what each sees is its path."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from katcore.model.partition import Part, ancestors, partition
from katcore.model.tree import Forest
from katcore.model.walk import order


def grown(seed: int, size: int, fork: float) -> Forest:
    """A random forest of exactly `size` tokens, in depth-first order, by the plainest means."""
    rng = random.Random(seed)
    above: list[int] = []
    for i in range(size):
        above.append(-1 if i == 0 or rng.random() < 0.03 else rng.randrange(i) if rng.random() < fork else i - 1)
    children: dict[int, list[int]] = {}
    for i, p in enumerate(above):
        children.setdefault(p, []).append(i)
    parent: list[int] = []
    depth: list[int] = []
    end = [0] * size
    stack = [(root, -1) for root in reversed(children[-1])]
    while stack:
        node, to = stack.pop()
        if node < 0:
            end[to] = len(parent)
            continue
        here = len(parent)
        parent.append(to)
        depth.append(0 if to < 0 else depth[to] + 1)
        stack.append((-1, here))
        stack += [(child, here) for child in reversed(children.get(node, []))]
    return Forest(torch.arange(size) % 7, torch.tensor(parent), torch.tensor(depth), torch.tensor(end))


def path(tree: Forest, token: int) -> list[int]:
    way = [token]
    while int(tree.parent[way[-1]]) >= 0:
        way.append(int(tree.parent[way[-1]]))
    return way[::-1]


def keys(parts: list[Part], index: int) -> list[int]:
    """The tokens of the forest behind a part's keys."""
    part = parts[index]
    inherited = [
        int(parts[at].own[parts[at].shown.index[row]]) for at, rows in part.above for row in rows.index.tolist()
    ]
    return inherited + part.own.tolist()


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 10**6), size=st.integers(1, 60), fork=st.sampled_from([0.05, 0.3, 0.9]), share=st.floats(0, 1)
)
def test_any_forest(seed: int, size: int, fork: float, share: float) -> None:
    tree = grown(seed, size, fork)
    assert tree.problem() == ""
    budget = max(1, round(share * size))
    parts = partition(tree, budget)
    assert sorted(t for part in parts for t in part.own.tolist()) == list(range(size))
    assert all(len(part) <= budget for part in parts)
    for index, part in enumerate(parts):
        assert part.parent < index and all(parts[child].parent == index for child in part.children)
        assert torch.equal(part.tokens, tree.tokens[part.own]) and torch.equal(part.depth, tree.depth[part.own])
        own = set(part.own.tolist())
        hung = {int(tree.parent[t]) for t in own} - own
        assert len(hung) == 1  # below one token, or at the top
        seen = keys(parts, index)
        for place, token in enumerate(part.own.tolist()):
            i = part.inherited + place
            visible = [seen[j] for j in range(i + 1) if i < int(part.end[j])]
            assert visible == path(tree, token)
        assert {at for at, _ in part.above} <= set(ancestors(parts, index))
        alive = [parts[at] for at in [*ancestors(parts, index), index] if parts[at].keep]
        assert sum(map(len, alive)) <= budget
        assert part.children or part.keep  # nothing else is alive then but what fits beside it


def test_no_budget_is_one_part_and_a_budget_below_0_is_a_mistake() -> None:
    tree = grown(1, 40, 0.3)
    assert len(partition(tree)) == len(partition(tree, 40)) == 1
    with pytest.raises(ValueError, match="a budget of -1 tokens"):
        partition(tree, -1)


def test_a_path_longer_than_the_budget_is_cut_into_full_parts() -> None:
    size = 103
    tree = Forest(torch.zeros(size).long(), torch.arange(-1, size - 1), torch.arange(size), torch.full((size,), size))
    parts = partition(tree, 10)
    assert [len(part) for part in parts] == [3] + [10] * 10
    assert [part.parent for part in parts] == list(range(-1, 10))


def test_small_branches_of_a_fork_share_a_part() -> None:
    """A trunk of 4 and eight branches of 2: no part for each branch."""
    parent = torch.tensor([-1, 0, 1, 2] + [x for b in range(8) for x in (3, 4 + 2 * b)])
    depth = torch.tensor([0, 1, 2, 3] + [4, 5] * 8)
    end = torch.tensor([20] * 4 + [x for b in range(8) for x in (6 + 2 * b,) * 2])
    parts = partition(Forest(torch.zeros(20).long(), parent, depth, end), 8)
    assert len(parts) == 3
    assert sorted(map(len, parts)) == [4, 8, 8]


def test_what_fits_beside_the_branches_keeps_its_activations() -> None:
    """A trunk of 3000 with four branches of 1000: a budget of 2500 holds a branch and half of the trunk."""
    ends = range(4000, 7001, 1000)
    parent = torch.tensor([*range(-1, 2999)] + [x for e in ends for x in (2999, *range(e - 1000, e - 1))])
    depth = torch.tensor([*range(3000)] + [*range(3000, 4000)] * 4)
    end = torch.tensor([7000] * 3000 + [e for e in ends for _ in range(1000)])
    parts = partition(Forest(torch.zeros(7000).long(), parent, depth, end), 2500)
    assert [(len(part), part.keep, part.parent) for part in parts] == [
        (1500, False, -1), (1500, True, 0), (1000, True, 1), (1000, True, 1), (1000, True, 1), (1000, True, 1)
    ]  # fmt: skip


def test_parts_are_left_when_everything_below_is_done() -> None:
    parts = partition(grown(5, 200, 0.2), 15)
    live: list[int] = []
    left: list[int] = []
    for index, leaving in order(parts):
        if leaving:
            assert live.pop() == index and set(parts[index].children) <= set(left)
            left.append(index)
        else:
            assert live == ancestors(parts, index)  # nothing else is alive
            live.append(index)
    assert sorted(left) == list(range(len(parts))) and not live
