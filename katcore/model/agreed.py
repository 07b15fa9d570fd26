"""One order of parts for ranks whose forests are cut differently.

Where weights are shared out over ranks (ZeRO-3), each forward and backward pass of a part is a collective: all ranks
must make the same ones in the same order. In: how each rank's parts hang together, and which of them are computed again
in the backward pass. Out: one forest that every rank's fits into, and where this rank's parts stand in it; elsewhere
the rank runs a part of one token that weighs nothing. No model and no communication here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from katcore.model.partition import Part


@dataclass(frozen=True)
class Shape:
    """How the parts of one row hang together: parents before children, siblings by falling size."""

    parent: tuple[int, ...] = ()  # -1 at the top
    recompute: tuple[bool, ...] = ()


@dataclass(frozen=True)
class Order:
    """The agreed forest of places, at each of which every rank runs one part or a token that weighs nothing."""

    children: tuple[tuple[int, ...], ...]  # places below each place; one entry more, the last: the places at the top
    recompute: tuple[bool, ...]  # whether a place's part is computed again in the backward pass
    part: tuple[int, ...]  # index of this rank's part at each place, -1 for none

    def walk(self) -> Iterator[tuple[int, bool]]:
        """Yields (place, False) when a place is entered and (place, True) when everything below it is done."""
        stack = [(place, False) for place in reversed(self.children[-1])]
        while stack:
            place, leaving = stack.pop()
            yield place, leaving
            if not leaving:
                stack.append((place, True))
                stack += [(child, False) for child in reversed(self.children[place])]


def ranked(parts: Sequence[Part]) -> list[int]:
    """The parts' indices in the order of `Shape`: large siblings meet large ones of other ranks."""
    level, size = [0] * len(parts), [1] * len(parts)
    for index, part in enumerate(parts):  # parents come first
        level[index] = level[part.parent] + 1 if part.parent >= 0 else 0
    for index in range(len(parts) - 1, -1, -1):
        if parts[index].parent >= 0:
            size[parts[index].parent] += size[index]
    return sorted(range(len(parts)), key=lambda index: (level[index], -size[index], index))


def shape_of(parts: Sequence[Part], recompute: bool = False) -> Shape:
    """The shape of a row's parts. `recompute`: those below which nothing hangs are computed again, too.

    All others are: a part that waits with its activations would hold on to ZeRO-3's gathered weights.
    """
    line = ranked(parts)
    at = {index: place for place, index in enumerate(line)} | {-1: -1}
    return Shape(
        tuple(at[parts[index].parent] for index in line),
        tuple(recompute or bool(parts[index].children) for index in line),
    )


def agree(shapes: Iterable[Shape], own: int, parts: Sequence[Part]) -> Order:
    """The union of the ranks' shapes by place among siblings; `own` is this rank's number, `parts` are its parts."""
    children: list[list[int]] = []
    top: list[int] = []
    recompute: list[bool] = []
    mine: list[int] = []
    for number, shape in enumerate(shapes):
        places: list[int] = []
        taken: dict[int, int] = {}
        for parent, again in zip(shape.parent, shape.recompute):
            above = places[parent] if parent >= 0 else -1
            siblings = children[above] if above >= 0 else top
            k = taken[above] = taken.get(above, -1) + 1
            if k == len(siblings):
                siblings.append(len(children))
                children.append([])
                recompute.append(False)
            places.append(siblings[k])
            recompute[siblings[k]] |= again
        if number == own:
            mine = places
    part = [-1] * len(children)
    for place, index in zip(mine, ranked(parts)):
        part[place] = index
    return Order(tuple(map(tuple, [*children, top])), tuple(recompute), tuple(part))
