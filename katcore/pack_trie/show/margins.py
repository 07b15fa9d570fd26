"""What stands around the drawing of a trie: header, the table of ends, the scale of tokens, the legend.

In: a `Picture` and its `Layout`. Out: SVG elements.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from katcore.pack_trie.packing import por
from katcore.pack_trie.show.layout import LEFT, RIGHT, THINNEST, Branch, Layout
from katcore.pack_trie.show.picture import Picture, Sample
from katcore.pack_trie.show.text import cut, escape, label, number, signed

WIDTH = 1000
TOP = 108.0  # where the branches begin
TABLE = 738.0
SHADES = 4  # of a weight, either way
CHARACTER = 6.4  # pixels that a character of 11 px takes at most, on average
MARKS = {
    "compaction": "M-4-7L4-7L0 0Z",
    "mode": "M0-8L4-4L0 0L-4-4Z",
    "subagent": "M-3-6H3V0H-3Z",
    "title": "M-3-6.5L3-.5M3-6.5L-3-.5",
}


def header(picture: Picture) -> Iterator[str]:
    """Title, notes, and how much of the flat tokens is unique."""
    unique, flat = len(picture.trie), picture.flat
    yield label(LEFT, 32, cut(picture.title, 92), "h")
    yield label(LEFT, 51, cut(" · ".join(picture.notes), 140), "dim")
    yield f'<rect x="{number(LEFT)}" y="64" width="300" height="8" class="none"/>'
    yield f'<rect x="{number(LEFT)}" y="64" width="{number(300 * unique / flat)}" height="8" class="full"/>'
    said = f"{unique:,} unique of {flat:,} flat tokens · POR {por(unique, flat):.3f} · 1/(1−POR) = {flat / unique:.2f}×"
    yield label(LEFT + 310, 72, said)


# ------------------------------------------------------------------------------------------------ table


def table(picture: Picture, layout: Layout) -> Iterator[str]:
    """A line for each row: passed or not, reward, advantage, and the samples that end there."""
    if any(s.reward is not None for s in picture.samples):
        yield label(TABLE + 58, TOP - 10, "reward", "dim small e")
    if _advantages(picture):
        yield label(TABLE + 120, TOP - 10, "advantage", "dim small e")
    yield label(_names_at(picture), TOP - 10, "samples", "dim small")
    for row in layout.rows:
        yield from _row(picture, row)


def _advantages(picture: Picture) -> bool:
    """Whether samples have advantages of their own: where tokens carry them, all are 1."""
    return len({s.advantage for s in picture.samples if s.advantage is not None}) > 1


def _names_at(picture: Picture) -> float:
    if _advantages(picture):
        return TABLE + 134
    return TABLE + (72 if any(s.reward is not None for s in picture.samples) else 6)


def _row(picture: Picture, row: Branch) -> Iterator[str]:
    ends = row.hidden.ends if row.hidden else row.ends
    final = [picture.samples[end.sample] for end in ends if end.final]
    tip = row.x1 if row.hidden or len(row) else row.x0 + row.bend
    y = row.y + 4
    yield f'<path class="lead" d="M{number(tip + 5)} {number(row.y)}H{number(TABLE - 11)}"/>'
    passed = [bool(s.passed) for s in final if s.passed is not None and not s.masked]
    if passed:
        yield _mark(TABLE, row.y, passed)
    rewards = [s.reward for s in final if s.reward is not None and not s.masked]
    if rewards:
        yield label(TABLE + 58, y, f"{sum(rewards) / len(rewards):.3g}", "e")
    gains = [s.advantage for s in final if s.advantage is not None]
    if gains and _advantages(picture):
        yield label(TABLE + 120, y, signed(sum(gains) / len(gains)), "e")
    x = _names_at(picture)
    yield label(x, y, cut(_who(picture, row, final), int((WIDTH - 12 - x) / CHARACTER)), "" if final else "dim")


def _who(picture: Picture, row: Branch, final: Sequence[Sample]) -> str:
    """Attempts that ended here by their numbers, and the side branches that did by their lineage."""
    if row.hidden:
        samples = f", {row.samples} samples" if row.samples != row.hidden.leaves else ""
        return f"+{row.hidden.leaves} more{samples}"
    names = " ".join(f"#{s.name}" + (" masked" if s.masked else "") for s in final)
    aside = " ".join(f"#{picture.samples[e.sample].name} {e.lineage}" for e in row.ends if not e.final)
    return " · ".join(part for part in ((f"{len(final)}: " if len(final) > 1 else "") + names, aside) if part)


def _mark(x: float, y: float, passed: Sequence[bool]) -> str:
    """The mark of an end: a full disc with a hook where all samples passed, an empty one with a cross, or half full."""
    ring = '<circle class="none" r="5.5"/>'
    said, shape = (
        f"{sum(passed)} of {len(passed)} passed",
        f'{ring}<path class="full" d="M0-5.5A5.5 5.5 0 0 1 0 5.5Z"/>',
    )
    if all(passed):
        said, shape = "passed", '<circle class="full" r="5.5"/><path class="hook" d="M-2.6 .2L-.8 2.2L2.8-2"/>'
    elif not any(passed):
        said, shape = "failed", f'{ring}<path class="cross" d="M-2.2-2.2L2.2 2.2M2.2-2.2L-2.2 2.2"/>'
    return f'<g transform="translate({number(x)} {number(y)})"><title>{said}</title>{shape}</g>'


# --------------------------------------------------------------------------------------- scale, legend


def scale(layout: Layout) -> Iterator[str]:
    """The labels of the depth axis: depths at which something parts or ends, where they have room."""
    axis, last, y = layout.axis, -99.0, layout.bottom + 6
    for depth, x in zip(axis.depths.tolist(), axis.xs.tolist()):
        text = f"{int(depth):,}"
        room = CHARACTER / 2 * len(text)
        if x - room >= last + 6:
            last = x + room
            yield f'<path class="grid" d="M{number(x)} {number(layout.top)}V{number(y)}"/>'
            yield label(x, y + 12, text, "dim small m")
    said = "tokens, to scale" if axis.linear else "tokens; a stretch is as wide as √ of its tokens"
    yield label(RIGHT + 30, y + 12, said, "dim small")


def legend(picture: Picture, layout: Layout, colours: Sequence[str], y: float) -> tuple[list[str], float]:
    """The legend of what occurs in the picture, in as many lines as it takes; and the height of the page."""
    seen = set(colours)
    items: list[tuple[float, str]] = []
    if any(c[0] in "pn" for c in seen):
        items.append(_weights(picture, seen))
    words = {"z": f"{picture.weighs} 0", "s": "sampled", "u": "sampled, not trained", "c": "context"}
    items += [_keyed(f'<path class="{c}" stroke-width="9" d="M0 0H20"/>', 20, words[c]) for c in words if c in seen]
    if len(picture.turn_starts):
        items.append(_keyed('<path class="tick" d="M5-6V6"/>', 10, "a turn begins"))
    for kind in dict.fromkeys(kind for _, kind in picture.boundaries):
        items.append(_keyed(f'<path class="mark" transform="translate(5 4)" d="{MARKS[kind]}"/>', 10, escape(kind)))
    items.append(_rivers(layout))
    parts, x = [], LEFT
    for width, item in items:
        if x > LEFT and x + width > WIDTH - 16:
            x, y = LEFT, y + 26
        parts.append(f'<g transform="translate({number(x)} {number(y)})">{item}</g>')
        x += width + 22
    return parts, y + 24


def _keyed(shape: str, width: float, text: str) -> tuple[float, str]:
    return width + 6 + CHARACTER * len(text), shape + label(width + 6, 4, text, "dim")


def _weights(picture: Picture, seen: set[str]) -> tuple[float, str]:
    """The legend's scale of colours; one patch where all weights are the same."""
    most = float(np.abs(picture.weight).max())
    down = [f"n{i}" for i in range(SHADES, 0, -1)] if any(c[0] == "n" for c in seen) else []
    if not down and {c for c in seen if c[0] == "p"} == {f"p{SHADES}"}:
        return _keyed(f'<path class="p{SHADES}" stroke-width="9" d="M0 0H20"/>', 20, f"{picture.weighs} {most:.3g}")
    shades = [*down, "z", *(f"p{i}" for i in range(1, SHADES + 1))]
    name, low, high = f"{picture.weighs}, mean of the samples", signed(-most) if down else "0", signed(most)
    x = CHARACTER * (len(name) + len(low)) + 4
    bars = "".join(f'<path class="{c}" stroke-width="9" d="M{number(x + 14 * i)} 0h14"/>' for i, c in enumerate(shades))
    end = x + 14 * len(shades)
    texts = label(0, 4, name, "dim") + label(x - 6, 4, low, "dim e") + label(end + 6, 4, high, "dim")
    return end + 6 + CHARACTER * len(high), texts + bars


def _rivers(layout: Layout) -> tuple[float, str]:
    """The legend's entry on widths: that of one sample, and that of the widest branch."""
    x, shapes = 0.0, ""
    for n in sorted({1, max(branch.samples for branch in layout.branches)}):
        text = f"{n} sample" + "s" * (n > 1)
        width = max(THINNEST, layout.unit * n)
        shapes += f'<path class="hl" stroke-width="{number(width)}" d="M{number(x)} 0h20"/>' + label(
            x + 26, 4, text, "dim"
        )
        x += 26 + CHARACTER * len(text) + 10
    return x - 10, shapes
