"""The agreed order of parts: every rank makes the same passes, each of its parts once, below where its parent ran."""

from __future__ import annotations

import random

import pytest
import torch

from katcore.model.agreed import Order, Shape, agree, shape_of
from katcore.model.partition import Part, partition
from katcore.model.tree import Forest


def random_tree(seed: int, size: int) -> Forest:
    rng = random.Random(seed)
    parent: list[int] = []
    for index in range(size):  # depth-first: the parent is the token before, or one above it
        above = index - 1
        while above >= 0 and rng.random() < 0.3:
            above = parent[above]
        parent.append(above)
    depth, end = [0] * size, [index + 1 for index in range(size)]
    for index in range(size):
        depth[index] = depth[parent[index]] + 1 if parent[index] >= 0 else 0
    for index in range(size - 1, -1, -1):
        if parent[index] >= 0:
            end[parent[index]] = max(end[parent[index]], end[index])
    return Forest(*(torch.tensor(x) for x in ([0] * size, parent, depth, end)))


def orders(parts: list[list[Part]], recompute: bool = False) -> list[Order]:
    shapes = [shape_of(each, recompute) for each in parts]
    return [agree(shapes, rank, each) for rank, each in enumerate(parts)]


def passes(order: Order) -> list[tuple[bool, bool]]:
    """What other ranks see of a walk: forward or backward, and whether layers are computed again."""
    return [(leaving, order.recompute[place]) for place, leaving in order.walk()]


@pytest.mark.parametrize("seed", range(20))
def test_ranks_make_the_same_passes_and_all_of_their_own(seed: int) -> None:
    rng = random.Random(seed)
    parts = [partition(random_tree(seed * 10 + rank, rng.randint(1, 60)), rng.randint(1, 20)) for rank in range(3)]
    found = orders(parts)
    assert passes(found[0]) == passes(found[1]) == passes(found[2])
    for order, own in zip(found, parts):
        entered = [order.part[place] for place, leaving in order.walk() if not leaving]
        assert sorted(index for index in entered if index >= 0) == list(range(len(own)))
        open_parts: list[int] = []
        for place, leaving in order.walk():
            index = order.part[place]
            if leaving:
                assert open_parts.pop() == index
                continue
            above = next((x for x in reversed(open_parts) if x >= 0), -1)
            assert index < 0 or own[index].parent in (above, -1)
            assert index < 0 or order.recompute[place] or not own[index].children
            open_parts.append(index)


def test_equal_shapes_need_nothing_else() -> None:
    parts = partition(random_tree(3, 50), 7)
    (order, other) = orders([parts, parts])
    assert order == other and -1 not in order.part and len(order.part) == len(parts)


def test_a_rank_without_a_row_keeps_step() -> None:
    parts = partition(random_tree(4, 40), 8)
    order = agree([shape_of(parts), Shape()], 1, ())
    assert set(order.part) == {-1} and len(order.part) == len(parts)


def test_large_siblings_meet_large_ones() -> None:
    """A fork of a long and a short branch, in either order: the union is no larger than each."""
    long, short = Shape((-1, 0, 0, 1, 3), (True,) * 5), Shape((-1, 0, 0, 1, 3), (True,) * 5)
    assert len(agree([long, short], 0, ()).recompute) == 5
    parts = [partition(random_tree(seed, 64), 4) for seed in (5, 5)]
    assert len(orders(parts)[0].part) == len(parts[0])
