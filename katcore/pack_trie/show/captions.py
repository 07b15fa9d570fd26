"""What the drawing of a trie says on its branches: captions where there is room, and a tooltip for each branch.

In: a `Picture` with messages and its `Layout`. Out: SVG elements. A caption tells what sets a message apart: a
beginning that it shares with its siblings, or with many others, is left out of its middle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from katcore.pack_trie.show.layout import RIGHT, Branch, Layout
from katcore.pack_trie.show.picture import Picture
from katcore.pack_trie.show.text import columns, cut, escape, label, number, one_line, signed

COLUMN = 5.8  # pixels of a character
SHORTEST = 9  # columns: less says nothing
LINES = 14  # messages of a tooltip
MARK = 7  # pixels that the mark of a boundary takes
LONG = 20  # a shared beginning longer than this is left out


def tooltip(picture: Picture, branch: Branch) -> str:
    """A title element: which tokens, which samples, and the messages with their role, turn and first words."""
    names = ", ".join(f"#{picture.samples[i].name}" for i in np.flatnonzero(branch.through)[:24].tolist())
    who = f"{branch.samples} of {len(picture.samples)} samples: {names}" + (", …" if branch.samples > 24 else "")
    if branch.hidden:
        lines = [f"{branch.hidden.leaves} ends with {branch.hidden.tokens:,} tokens, not drawn", who]
    elif not len(branch):
        lines = ["ends here, where others go on", who]
    else:
        lines = [f"tokens {branch.depth:,} to {branch.depth + len(branch) - 1:,} ({len(branch):,})", who]
        spans = list(messages_of(picture, branch))
        for k, a, b in spans[:LINES]:
            message = picture.messages[k]
            lineage = "" if message.lineage == "main" else f", {message.lineage}"
            about = f"{cut(message.role, 20)}, turn {message.turn}{cut(lineage, 30)}, {b - a} tokens"
            lines.append(f"{about}: {cut(message.text, 90)}")
        lines += [f"and {len(spans) - LINES} more messages"] if len(spans) > LINES else []
    return f"<title>{'&#10;'.join(map(escape, lines))}</title>"


def messages_of(picture: Picture, branch: Branch) -> Iterator[tuple[int, int, int]]:
    """(message, its first token, one past its last) along the branch."""
    own = picture.message_of[branch.start : branch.stop]
    bounds = [0, *(np.flatnonzero(own[1:] != own[:-1]) + 1).tolist(), len(own)]
    for a, b in pairwise(bounds):
        if own[a] >= 0:
            yield int(own[a]), branch.start + a, branch.start + b


def captions(picture: Picture, layout: Layout) -> Iterator[str]:
    """All captions; in front of a branch's first one the weight that alone decides there, if there is such a one."""
    starts = _starts(picture)
    siblings = _siblings(layout)
    for branch in layout.branches:
        if not len(branch):
            continue
        y = branch.y - branch.width / 2 - 4
        free = branch.x0 + branch.bend + 2
        value = _decision(picture, branch)
        if value and (free + COLUMN * (columns(value) + 1 + SHORTEST) > _stop(branch) or not picture.messages):
            yield from _value_alone(branch, value, y)
            continue
        if value:
            yield label(free, y, value, f"cap {_sign(value)}")
            free += COLUMN * (columns(value) + 1)
        yield from _texts(picture, layout, branch, free, y, starts, siblings[branch])


def _texts(
    picture: Picture,
    layout: Layout,
    branch: Branch,
    free: float,
    y: float,
    starts: dict[str, int],
    siblings: Sequence[Branch],
) -> Iterator[str]:
    """The messages that begin right of `free` and have room up to the next one, or to the end."""
    spans = list(messages_of(picture, branch))
    for n, (k, a, b) in enumerate(spans):
        message = picture.messages[k]
        x = max(layout.axis(branch.depth + a - branch.start) + 2, free)
        x += MARK if any(token == a for token, _ in picture.boundaries) else 0
        stop = _stop(branch) if n == len(spans) - 1 else layout.axis(branch.depth + b - branch.start)
        most = int((stop - x - 4) / COLUMN)
        said = one_line(message.text)
        shared = max(starts.get(said, 0), _shared(picture, branch, siblings) if n == 0 else 0)
        said = without(said, shared, most)
        if message.role != "assistant":
            said = f"{message.role}: {said}" if most >= SHORTEST + len(message.role) else message.role
        said = cut(said, most) if most >= min(SHORTEST, columns(said)) else ""
        if said:
            yield label(x, y, said, "cap")


def _stop(branch: Branch) -> float:
    """How far right a branch's captions may go: over the leader of an end, not into children."""
    return branch.x1 if branch.children else RIGHT


def _value_alone(branch: Branch, value: str, y: float) -> Iterator[str]:
    """The weight of a short branch, written over its end; not where the branch bends, as its parent is left of it."""
    if branch.y <= branch.y0 + 0.5 or branch.x1 - branch.x0 - branch.bend > COLUMN * columns(value):
        yield f'<text class="cap e {_sign(value)}" x="{number(branch.x1)}" y="{number(y)}">{value}</text>'


def _sign(value: str) -> str:
    return "neg" if value.startswith("−") else "pos"


def _decision(picture: Picture, branch: Branch) -> str:
    """The weight at the branch's beginning, when nothing near it is trained."""
    near = picture.weight[branch.start : min(branch.stop, branch.start + 32)]
    found = np.flatnonzero(np.abs(near) > 1e-6)
    return signed(float(near[found[0]])) if len(found) == 1 and found[0] < 8 else ""


# ------------------------------------------------------------------------------------ what sets apart


def _siblings(layout: Layout) -> dict[Branch, list[Branch]]:
    found = {child: branch.children for branch in layout.branches for child in branch.children}
    roots = [branch for branch in layout.branches if branch not in found]
    return found | dict.fromkeys(roots, roots)


def _shared(picture: Picture, branch: Branch, siblings: Sequence[Branch]) -> int:
    """How many characters of the branch's first message its siblings say too."""
    texts = [one_line(picture.messages[k].text) for s in siblings if len(s) and (k := picture.message_of[s.start]) >= 0]
    return common(texts) if len(texts) > 1 else 0


def _starts(picture: Picture) -> dict[str, int]:
    """For each text the longest beginning that two other texts have as well."""
    texts = sorted({one_line(message.text) for message in picture.messages})
    shared = dict.fromkeys(texts, 0)
    for three in zip(texts, texts[1:], texts[2:]):
        length = common(three)
        for text in three:
            shared[text] = max(shared[text], length)
    return shared


def common(texts: Sequence[str]) -> int:
    """Characters with which all of the texts begin."""
    first, last = min(texts), max(texts)
    return next((i for i, (a, b) in enumerate(zip(first, last)) if a != b), min(len(first), len(last)))


def without(text: str, shared: int, most: int = 80) -> str:
    """The text without the middle of its first `shared` characters; whole where that is short, or is all of it.

    Where only `most` columns are to be had and they are few, its first words are left out as well.
    """
    at = max(text.rfind(mark, 0, shared) for mark in " /") + 1
    if at < LONG or len(text) - shared < 3:
        return text
    first = (text[:12].rpartition(" ")[0] or text[:8]) + " " if most >= LONG else ""
    return f"{first}…{text[at:]}"
