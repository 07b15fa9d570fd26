"""Where everything in the drawing of a trie stands: branches on rows from top to bottom, tokens from left to right.

In: a `Picture`. Out: a `Layout` in pixels, y downward. A branch is a maximal chain of tokens that the same samples
pass through; each takes one row at a time, a parent lies between its children, and what lies right of it are its
children alone. Drawn as rivers: a branch is as wide as the samples in it, and its children leave side by side.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from katcore.pack_trie.show.picture import End, Picture
from katcore.pack_trie.tree import Index

LEFT, RIGHT = 24.0, 716.0  # the tokens' part of the page
RIVER = 26.0  # width of all samples together
THINNEST = 1.6
CAPTION = 13.0  # room for a line of text over a branch
CAPTIONED_ROWS = 36  # more rows than these go without
BEND = 22.0
STUB = 10.0  # length of what ends at once


@dataclass(frozen=True)
class Hidden:
    """What one row stands for that is not drawn: the branches below a fork that the limit left out."""

    leaves: int
    tokens: int
    deepest: int  # one past their last depth
    ends: list[End]


@dataclass(eq=False)
class Branch:
    """Tokens [start, stop) of the trie; of a sample that ends where others go on, none."""

    start: int
    stop: int
    depth: int  # of its first token
    through: NDArray[np.bool_]  # [Q] the samples that pass
    children: list[Branch] = field(default_factory=list)
    ends: list[End] = field(default_factory=list)
    hidden: Hidden | None = None
    width: float = 0.0
    x0: float = 0.0
    x1: float = 0.0
    bend: float = 0.0  # from x0 to x0 + bend it comes down, or up, from y0 to y
    y0: float = 0.0
    y: float = 0.0
    top: float = 0.0  # of the rows of its subtree
    bottom: float = 0.0

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def samples(self) -> int:
        """Number of samples that pass through the branch."""
        return int(self.through.sum())


@dataclass(frozen=True)
class Axis:
    """The map from depth in tokens to x in pixels.

    It is linear; or piecewise linear between neighbouring depths where something parts or ends, each piece as wide as
    the square root of its tokens.
    """

    depths: NDArray[np.float64]
    xs: NDArray[np.float64]
    linear: bool

    def __call__(self, depth: float) -> float:
        return float(np.interp(depth, self.depths, self.xs))


@dataclass(frozen=True)
class Layout:
    """The branches in depth-first order, those with a row from top to bottom."""

    branches: list[Branch]
    axis: Axis
    captions: bool  # whether rows have room for text
    unit: float  # width of one sample
    top: float
    bottom: float

    @property
    def rows(self) -> list[Branch]:
        """The branches that no other continues, each on a row of its own."""
        return [b for b in self.branches if not b.children]


def lay_out(picture: Picture, limit: int, top: float = 0.0) -> Layout:
    """Place the picture's branches, on at most `limit` rows."""
    roots = _branches(picture)
    _limit(roots, limit)
    order = _depth_first(roots)
    axis = _axis(order)
    unit = min(4.0, RIVER / max(len(picture.samples), 1))
    rows = sum(not b.children for b in order)
    captions = bool(picture.messages) and rows <= CAPTIONED_ROWS
    for b in order:
        b.width = max(THINNEST, unit * b.samples)
        b.x0 = axis(b.depth)
        b.x1 = axis(b.hidden.deepest if b.hidden else b.depth + len(b))
    bottom = _stack(order, top, captions)
    _join(order)
    return Layout(order, axis, captions, unit, top, bottom)


def _depth_first(roots: Iterable[Branch]) -> list[Branch]:
    order: list[Branch] = []
    stack = list(roots)[::-1]
    while stack:
        branch = stack.pop()
        order.append(branch)
        stack += branch.children[::-1]
    return order


# ---------------------------------------------------------------------------------------------- branches


def _branches(picture: Picture) -> list[Branch]:
    """The roots of the whole tree of branches."""
    trie = picture.trie
    ends: dict[int, list[End]] = {}
    for end in picture.ends:
        ends.setdefault(end.token, []).append(end)
    parts = np.bincount(trie.parent[trie.parent >= 0], minlength=len(trie)) > 1
    parts[list(ends)] = True
    starts = np.flatnonzero((trie.parent < 0) | parts[trie.parent])
    through = np.array([np.isin(starts, tokens, assume_unique=True) for tokens in picture.through])  # [Q, branches]
    stops = [*starts[1:].tolist(), len(trie)]
    made = [Branch(a, b, int(trie.depth[a]), through[:, i]) for i, (a, b) in enumerate(zip(starts.tolist(), stops))]
    roots = []
    for branch in made:
        above = int(trie.parent[branch.start])
        if above < 0:
            roots.append(branch)
        else:
            made[int(np.searchsorted(starts, above, side="right")) - 1].children.append(branch)
    for branch in made:
        here = ends.get(branch.stop - 1, [])
        if here and branch.children:
            mine = _having(len(picture.samples), here)
            branch.children.insert(0, Branch(branch.stop, branch.stop, branch.depth + len(branch), mine, ends=here))
        else:
            branch.ends = here
    return roots


def _having(samples: int, ends: Iterable[End]) -> NDArray[np.bool_]:
    having = np.zeros(samples, bool)
    having[[end.sample for end in ends]] = True
    return having


def _limit(roots: list[Branch], limit: int) -> None:
    """Draw the branches with most samples, then with most tokens below; what is left of a fork shares one row."""
    order = _depth_first(roots)
    if sum(not b.children for b in order) <= limit:
        return
    top = Branch(0, 0, 0, np.empty(0, bool), children=list(roots))
    tokens = _below(order)
    drawn, rows = {top}, 1  # a branch takes a row as long as not all of its children are drawn
    missing = {b: len(b.children) for b in (top, *order)}
    heap = [(-b.samples, -tokens[b], b.start, len(b), b, top) for b in roots]
    heapq.heapify(heap)
    while heap:
        *_, branch, above = heapq.heappop(heap)
        more = 0 if missing[above] == 1 else 1
        if rows + more <= limit:
            rows += more
            missing[above] -= 1
            drawn.add(branch)
            for child in branch.children:
                heapq.heappush(heap, (-child.samples, -tokens[child], child.start, len(child), child, branch))
    for branch in drawn:
        gone = [child for child in branch.children if child not in drawn]
        if gone:
            place = branch.children.index(gone[0])
            branch.children = [child for child in branch.children if child in drawn]
            branch.children.insert(place, _merged(branch.depth + len(branch), gone))
    roots[:] = top.children


def _below(order: Sequence[Branch]) -> dict[Branch, int]:
    """Number of tokens in the subtree of each branch."""
    tokens: dict[Branch, int] = {}
    for branch in reversed(order):
        tokens[branch] = len(branch) + sum(tokens[child] for child in branch.children)
    return tokens


def _merged(depth: int, gone: Sequence[Branch]) -> Branch:
    below = _depth_first(gone)
    hidden = Hidden(
        leaves=sum(not b.children for b in below),
        tokens=sum(map(len, below)),
        deepest=max(b.depth + len(b) for b in below),
        ends=[end for b in below for end in b.ends],
    )
    through = np.logical_or.reduce([b.through for b in gone])
    return Branch(gone[0].start, gone[0].start, depth, through, hidden=hidden)


# ---------------------------------------------------------------------------------------------- x and y


def _axis(order: Sequence[Branch]) -> Axis:
    stops = {b.hidden.deepest if b.hidden else b.depth + len(b) for b in order}
    depths = np.array(sorted({0} | {b.depth for b in order} | stops), np.float64)
    lengths = np.diff(depths)
    span = RIGHT - LEFT
    plain = span * lengths / lengths.sum()
    linear = bool(plain.min() >= min(36.0, span / (3 * len(lengths))))
    if linear:
        widths = plain
    else:
        least = min(36.0, span / (2.2 * len(lengths)))
        root = np.sqrt(lengths)
        widths = least + (span - least * len(lengths)) * root / root.sum()
    return Axis(depths, LEFT + np.concatenate([[0.0], np.cumsum(widths)]), linear)


def _stack(order: Sequence[Branch], top: float, captions: bool) -> float:
    """Rows downward, then each parent in the middle of its children's rivers: returns the bottom."""
    y = top
    for b in order:
        if not b.children:
            over = CAPTION if captions else 0.0
            height = max(b.width + 5.0 + over, 16.0)
            b.top, b.bottom, b.y = y, y + height, y + over + (height - over) / 2
            y += height
    for b in reversed(order):
        if b.children:
            b.top, b.bottom = b.children[0].top, b.children[-1].bottom
            b.y = sum(c.y * c.width for c in b.children) / sum(c.width for c in b.children)
    return y


def _join(order: Sequence[Branch]) -> None:
    """Children leave their parent side by side, inside its width, and bend alike: so they never cross."""
    roots = set(order) - {child for b in order for child in b.children}
    for b in roots:
        b.y0, b.bend = b.y, 0.0
    for b in order:
        if b.children:
            whole = sum(c.width for c in b.children)
            scale = min(1.0, b.width / whole)
            y = b.y - whole * scale / 2
            rooms = [c.x1 - c.x0 for c in b.children if c.x1 > c.x0]
            bend = min(BEND, 0.6 * min(rooms)) if rooms else STUB
            for child in b.children:
                child.bend = bend
                child.y0 = y + child.width * scale / 2
                y += child.width * scale


# ---------------------------------------------------------------------------------------------- curves


def height_at(branch: Branch, x: float) -> float:
    """y of the middle of the branch at x."""
    if x >= branch.x0 + branch.bend:
        return branch.y
    t = _time_at((x - branch.x0) / branch.bend)
    return branch.y0 + (branch.y - branch.y0) * t * t * (3 - 2 * t)


def _time_at(x: float) -> float:
    """The parameter t of the bend at a share x of its length, by bisection, as x(t) = 3/2 t (1 - t) + t³ rises."""
    low, high = 0.0, 1.0
    for _ in range(20):
        t = (low + high) / 2
        low, high = (t, high) if 1.5 * t * (1 - t) + t**3 < x else (low, t)
    return (low + high) / 2


Curve = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


def bend_between(branch: Branch, a: float, b: float) -> Curve:
    """The Bézier points of the bend from x = a to x = b, both inside it."""
    x0, w = branch.x0, branch.bend
    s, t = _time_at((a - x0) / w), _time_at((b - x0) / w)
    points = ((x0, branch.y0), (x0 + w / 2, branch.y0), (x0 + w / 2, branch.y), (x0 + w, branch.y))

    def blossom(u: float, v: float, z: float) -> tuple[float, float]:
        q = list(points)
        for at in (u, v, z):
            q = [((1 - at) * m[0] + at * n[0], (1 - at) * m[1] + at * n[1]) for m, n in pairwise(q)]
        return q[0]

    return blossom(s, s, s), blossom(s, s, t), blossom(s, t, t), blossom(t, t, t)


def tokens_in(branch: Branch, tokens: Index) -> list[int]:
    """Which of these rising tokens lie in the branch."""
    a, b = np.searchsorted(tokens, (branch.start, branch.stop))
    found: list[int] = tokens[a:b].tolist()
    return found
