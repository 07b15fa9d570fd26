"""Where the drawing of a trie puts things: rows, axis, bends, and what the limit leaves out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcore.pack_trie.group import Member
from katcore.pack_trie.show.layout import LEFT, RIGHT, Branch, Layout, bend_between, height_at, lay_out
from katcore.pack_trie.show.picture import Picture, of_group
from katcore.pack_trie.tree import TokenTree
from katcore.records import Node
from tests.support.trajectories import attempt, lines, node, token_trees


def picture_of(samples: Sequence[list[Node]]) -> Picture:
    found = []
    for i, nodes in enumerate(samples):
        trajectory = attempt(nodes, i, size=len(samples))
        found.append(Member(trajectory, TokenTree.of(trajectory), lines(trajectory)[0]))
    return of_group([member for member in found if len(member.tree.tokens)])


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    start = node(99, None, [1, 2, 1], [(1, 3)])  # there is always something to draw
    return picture_of([[start], *draw(st.lists(token_trees(), max_size=5))])


def bush(leaves: int, seed: int = 0) -> Picture:
    """Samples that each go on from some place of an earlier one."""
    rng = random.Random(seed)
    paths: list[list[int]] = [[rng.randrange(50) for _ in range(40)]]
    for _ in range(leaves - 1):
        kept = rng.choice(paths)
        paths.append(kept[: rng.randrange(5, len(kept))] + [rng.randrange(50) for _ in range(rng.randrange(1, 60))])
    return picture_of([[node(0, None, path[:5]), node(1, 0, path[5:], True)] for path in paths])


def spans(branch: Branch) -> tuple[float, float]:
    """From where it stands on its row to where it ends."""
    right = branch.x1 if branch.hidden or len(branch) else branch.x0 + branch.bend
    return branch.x0 + branch.bend, right


@settings(max_examples=150, deadline=None)
@given(pictures(), st.integers(1, 12))
def test_every_token_is_drawn_once_or_counted(picture: Picture, limit: int) -> None:
    layout = lay_out(picture, limit)
    drawn = [t for b in layout.branches for t in range(b.start, b.stop)]
    assert len(set(drawn)) == len(drawn)
    hidden = sum(b.hidden.tokens for b in layout.branches if b.hidden)
    assert len(drawn) + hidden == len(picture.trie)
    ends = [e for b in layout.branches for e in (b.hidden.ends if b.hidden else b.ends)]
    assert sorted(map(repr, ends)) == sorted(map(repr, picture.ends))
    assert len(layout.rows) <= limit


@settings(max_examples=150, deadline=None)
@given(pictures(), st.integers(1, 12))
def test_x_never_goes_back_along_a_path(picture: Picture, limit: int) -> None:
    layout = lay_out(picture, limit)
    for b in layout.branches:
        assert LEFT - 1e-6 <= b.x0 <= b.x1 <= RIGHT + 1e-6 and b.bend >= 0
        if len(b):
            assert b.x1 > b.x0 and b.x0 + b.bend <= b.x1
        for child in b.children:
            assert child.x0 == pytest.approx(b.x1)
    xs = layout.axis.xs
    assert (np.diff(xs) > 0).all() and xs[0] == LEFT and xs[-1] == pytest.approx(RIGHT)


def check_rows(layout: Layout) -> None:
    """On their rows no two branches touch, and nothing reaches out of its own rows."""
    for b in layout.branches:
        assert b.top - 1e-6 <= b.y - b.width / 2 and b.y + b.width / 2 <= b.bottom + 1e-6
    for one, other in combinations(layout.branches, 2):
        (a, b), (c, d) = spans(one), spans(other)
        if min(b, d) - max(a, c) > 1e-6:
            gap = abs(one.y - other.y) - (one.width + other.width) / 2
            assert gap > 2, (one, other)


@settings(max_examples=100, deadline=None)
@given(pictures(), st.integers(1, 12))
def test_no_two_branches_share_a_row_where_they_overlap(picture: Picture, limit: int) -> None:
    check_rows(lay_out(picture, limit))


@pytest.mark.parametrize("limit", [1, 2, 10, 48, 1000])
def test_no_two_branches_share_a_row_in_a_bush(limit: int) -> None:
    layout = lay_out(bush(80), limit)
    check_rows(layout)
    assert len(layout.rows) <= limit


@pytest.mark.parametrize("seed", range(4))
def test_branches_keep_their_order_at_every_x_so_they_do_not_cross(seed: int) -> None:
    layout = lay_out(bush(30, seed), 30)
    for x in np.linspace(LEFT, RIGHT, 331):
        here = [b for b in layout.branches if b.x0 <= x < max(b.x1, b.x0 + b.bend)]
        heights = [height_at(b, float(x)) for b in here]
        assert heights == sorted(heights), x


def test_rows_stand_in_depth_first_order() -> None:
    layout = lay_out(bush(40), 40)
    starts = [b.start for b in layout.rows]
    assert starts == sorted(starts)
    assert [b.y for b in layout.rows] == sorted(b.y for b in layout.rows)


def test_the_limit_keeps_the_branches_with_most_samples() -> None:
    trunk = [1, 2, 3]
    tails = [[10, i] for i in range(6)] + [[20]] * 3 + [[30], [40, 1, 1, 1], [50]]
    picture = picture_of([[node(0, None, trunk), node(1, 0, tail, True)] for tail in tails])
    layout = lay_out(picture, 3)
    (trunk_,) = [b for b in layout.branches if b.start == 0]
    ten, twenty, rest = trunk_.children
    assert (ten.samples, twenty.samples, rest.samples) == (6, 3, 3)
    assert ten.children[0].hidden is not None and ten.children[0].hidden.leaves == 6
    assert rest.hidden is not None and (rest.hidden.leaves, rest.hidden.tokens) == (3, 6)


def test_a_sample_that_ends_where_others_go_on_has_a_row() -> None:
    picture = picture_of([[node(0, None, [1]), node(1, 0, [2, 3][:n], True)] for n in (1, 2)])
    layout = lay_out(picture, 10)
    stub, rest = layout.rows
    assert len(stub) == 0 and [end.sample for end in stub.ends] == [0]
    assert len(rest) == 1 and [end.sample for end in rest.ends] == [1]
    assert stub.y + 3 < rest.y


def test_the_axis_is_linear_where_it_can_be_and_else_a_root() -> None:
    even = picture_of([[node(0, None, [1] * 50), node(1, 0, [i] * 60, True)] for i in (2, 3)])
    axis = lay_out(even, 10).axis
    assert axis.linear and axis(55) == pytest.approx((LEFT + RIGHT) / 2)
    odd = picture_of(
        [[node(0, None, [1] * 2000), node(1, 0, [2, i], True), node(2, 1, [i] * 90, True)] for i in (2, 3)]
    )
    axis = lay_out(odd, 10).axis
    assert not axis.linear
    assert axis(2000) < RIGHT - 140, "a long trunk leaves room for what comes after"
    assert axis(1000) - LEFT == pytest.approx((axis(2000) - LEFT) / 2), "between two forks it is linear"


def test_a_part_of_a_bend_lies_on_the_bend() -> None:
    b = Branch(0, 9, 0, np.ones(1, bool), x0=10.0, x1=80.0, bend=20.0, y0=5.0, y=45.0)
    (x, y), _, _, (u, v) = bend_between(b, 14.0, 22.0)
    assert (x, u) == (pytest.approx(14, abs=1e-3), pytest.approx(22, abs=1e-3))
    assert (y, v) == (pytest.approx(height_at(b, 14), abs=1e-3), pytest.approx(height_at(b, 22), abs=1e-3))
    assert (height_at(b, 10), height_at(b, 20), height_at(b, 60)) == (
        pytest.approx(5, abs=1e-3),
        pytest.approx(25, abs=1e-3),
        45,
    )


def test_a_comb_of_forks_keeps_to_the_limit() -> None:
    path = list(range(3000))
    picture = picture_of([[node(0, None, path[:n]), node(1, 0, [5000], True)] for n in range(1, 3000, 20)])
    layout = lay_out(picture, 20)
    assert len(layout.rows) <= 20
