"""The drawing of a trie as one SVG document: no scripts, nothing from outside, readable on light and on dark pages.

In: a `Picture` and its `Layout`. Out: text. The branches are drawn here; `captions.py` and `margins.py` say what
stands on them and around them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from katcore.pack_trie.show.captions import captions, tooltip
from katcore.pack_trie.show.layout import Branch, Layout, bend_between, height_at, tokens_in
from katcore.pack_trie.show.margins import MARKS, SHADES, WIDTH, header, legend, scale, table
from katcore.pack_trie.show.picture import CONTEXT, SAMPLED, TRAINED, UNTRAINED, Picture
from katcore.pack_trie.show.text import escape, number

SPARK = 8.0  # a lone trained token is drawn this wide, or nobody would see it
RARE = 0.1  # share of a branch's tokens up to which trained ones are lone

STYLE = """
text{font:11px ui-sans-serif,system-ui,sans-serif;fill:#1f2328}path{fill:none}
.bg{fill:#fff}.h{font-size:16px;font-weight:600}.dim{fill:#59636e}.small{font-size:10px}
.e{text-anchor:end}.m{text-anchor:middle}
.cap{font:9.5px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#59636e}
.pos{fill:#0b4f94;font-weight:700}.neg{fill:#9c3d02;font-weight:700}
.grid{stroke:#59636e;stroke-opacity:.16}.lead{stroke:#59636e;stroke-opacity:.4;stroke-dasharray:1 3}
.tick{stroke:#1f2328}.mark,.full{fill:#1f2328;stroke:#1f2328}
.none{fill:none;stroke:#59636e}.hook{stroke:#fff;stroke-width:1.6}.cross{stroke:#59636e;stroke-width:1.3}
.c{stroke:#d8dee4}.s{stroke:#3a9188}.z{stroke:#9aa4af}.u{stroke:url(#hatch)}
.hb{fill:#e7ebef}.hl{stroke:#818b98}.more{fill:#e7ebef;stroke:#818b98;stroke-dasharray:2 2}
.p1{stroke:#b7d3ef}.p2{stroke:#72aee0}.p3{stroke:#2c7fc4}.p4{stroke:#0b4f94}
.n1{stroke:#f9d2ad}.n2{stroke:#f3a35c}.n3{stroke:#dc6b14}.n4{stroke:#9c3d02}
@media(prefers-color-scheme:dark){
text{fill:#e6edf3}.bg{fill:#0d1117}.dim,.cap{fill:#9198a1}.grid,.lead{stroke:#9198a1}
.pos{fill:#a5d3ff}.neg{fill:#ffc894}.tick{stroke:#e6edf3}.mark,.full{fill:#e6edf3;stroke:#e6edf3}
.none,.cross{stroke:#9198a1}.hook{stroke:#0d1117}
.c{stroke:#2f363e}.s{stroke:#3fb0a4}.z{stroke:#656d76}.hb{fill:#21262d}.hl{stroke:#767e88}
.more{fill:#21262d;stroke:#767e88}
.p1{stroke:#1b3a5c}.p2{stroke:#2666a3}.p3{stroke:#4c9ae0}.p4{stroke:#a5d3ff}
.n1{stroke:#563316}.n2{stroke:#9a5216}.n3{stroke:#e48635}.n4{stroke:#ffc894}}
"""
HATCH = (
    '<defs><pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect class="hb" width="4" height="4"/><path class="hl" d="M1 0V4"/></pattern></defs>'
)


def draw(picture: Picture, layout: Layout) -> str:
    """The SVG document of a picture in a layout."""
    colours = colours_of(picture)
    parts = [*header(picture), *scale(layout), *table(picture, layout)]
    for branch in layout.branches:
        parts += _branch(picture, layout, branch, colours)
    for branch in layout.branches:  # over all branches, or a neighbour's bend would cover them
        parts += _marks(picture, layout, branch)
    if layout.captions:
        parts += captions(picture, layout)
    keys, height = legend(picture, layout, colours, layout.bottom + 46)
    said = escape(f"{picture.title}: {'; '.join(picture.notes)}")
    size = f'viewBox="0 0 {WIDTH} {number(height)}" width="{WIDTH}" height="{number(height)}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{said}">'
    back = f'<rect class="bg" width="{WIDTH}" height="{number(height)}" rx="6"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", HATCH, back, *parts, *keys, "</svg>"])


# ---------------------------------------------------------------------------------------------- colours


def colours_of(picture: Picture) -> list[str]:
    """[N] the class of each token: c context, s sampled, u untrained, z weight 0, p1 to p4 and n1 to n4 other ones."""
    size = np.abs(picture.weight)
    most = float(size.max(initial=0.0)) or 1.0
    shades = np.ceil(size / most * SHADES - 1e-3).astype(int).clip(0, SHADES).tolist()
    names = {CONTEXT: "c", SAMPLED: "s", UNTRAINED: "u"}
    return [
        names[state] if state != TRAINED else f"{'p' if weight > 0 else 'n'}{shade}" if shade else "z"
        for state, weight, shade in zip(picture.state.tolist(), picture.weight.tolist(), shades)
    ]


Segment = tuple[float, float, str]


def segments(layout: Layout, branch: Branch, colours: Sequence[str]) -> tuple[list[Segment], list[Segment]]:
    """Stretches (from, to, class) that cover the branch, and the lone weights that are too short to be seen in them."""
    own = colours[branch.start : branch.stop]
    bounds = [0, *(i for i in range(1, len(own)) if own[i] != own[i - 1]), len(own)]
    xs = [layout.axis(branch.depth + bound) for bound in bounds]
    runs = [(x, y, own[a], b - a) for (a, b), (x, y) in zip(pairwise(bounds), pairwise(xs))]
    lone = sum(colour[0] in "pn" for colour in own) <= max(1, RARE * len(own))
    return _merged(runs), _sparks(runs, branch.x1) if lone else []


def _merged(runs: Iterable[tuple[float, float, str, int]]) -> list[Segment]:
    """The runs as segments, where those that share a pixel become one in the commonest colour among them."""
    found: list[Segment] = []
    tokens: Counter[str] = Counter()
    begin: float | None = None
    for a, b, colour, count in runs:
        begin = a if begin is None else begin
        tokens[colour] += count
        if b - begin >= 1 or not found:
            main = tokens.most_common(1)[0][0]
            if found and found[-1][2] == main:
                begin = found.pop()[0]
            found.append((begin, b, main))
            tokens, begin = Counter(), None
        end = b
    if begin is not None:
        found[-1] = (found[-1][0], end, found[-1][2])
    return found


def _sparks(runs: Iterable[tuple[float, float, str, int]], right: float) -> list[Segment]:
    """Segments for weights in stretches too short to see, made wide enough; of two that would meet, the stronger."""
    found: list[Segment] = []
    for a, b, colour, _ in runs:
        if colour[0] not in "pn" or b - a >= SPARK:
            continue
        new = (a, min(a + SPARK, right), colour)
        if not found or found[-1][1] <= a:
            found.append(new)
        elif colour[1] > found[-1][2][1]:
            found[-1] = new
    return found


# --------------------------------------------------------------------------------------------- branches


def _branch(picture: Picture, layout: Layout, branch: Branch, colours: Sequence[str]) -> Iterator[str]:
    """One branch with its tooltip: the context's colour from end to end, and the others on it."""
    yield f"<g>{tooltip(picture, branch)}"
    if len(branch):
        wide, sparks = segments(layout, branch, colours)
        pieces: dict[str, list[str]] = {}
        if any(colour == "c" for *_, colour in wide):
            pieces["c"] = [_piece(branch, branch.x0, branch.x1)]
        for a, b, colour in wide:
            if colour != "c":
                pieces.setdefault(colour, []).append(_piece(branch, a, b))
        yield from (_stroke(colour, branch, each) for colour, each in pieces.items())
        yield from (_stroke(colour, branch, [_piece(branch, a, b)]) for a, b, colour in sparks)
    else:
        yield _stroke("hl", branch, [_piece(branch, branch.x0, branch.x0 + branch.bend)])
        if branch.hidden:
            tip, y, x1 = number(branch.x0 + branch.bend), branch.y, number(branch.x1)
            yield f'<path class="more" d="M{tip} {number(y)}L{x1} {number(y - 5)}V{number(y + 5)}Z"/>'
    yield "</g>"


def _stroke(colour: str, branch: Branch, pieces: Iterable[str]) -> str:
    return f'<path class="{colour}" stroke-width="{number(branch.width)}" d="{"".join(pieces)}"/>'


def _piece(branch: Branch, a: float, b: float) -> str:
    """The SVG path of the branch's middle line from x = a to x = b: a part of the bend, a straight part, or both."""
    edge = branch.x0 + branch.bend
    if a >= edge or abs(branch.y - branch.y0) < 0.05:
        return f"M{number(a)} {number(branch.y)}H{number(b)}"
    (x, y), *rest = bend_between(branch, a, min(b, edge))
    curve = f"M{number(x)} {number(y)}C" + " ".join(f"{number(x)} {number(y)}" for x, y in rest)
    return curve + (f"H{number(b)}" if b > edge else "")


def _marks(picture: Picture, layout: Layout, branch: Branch) -> Iterator[str]:
    """The marks at turn starts, as far as they can be told apart, and at boundaries."""
    half, last = branch.width / 2 + 2, branch.x0 - 9
    ticks = ""
    for token in tokens_in(branch, picture.turn_starts):
        x = layout.axis(branch.depth + token - branch.start)
        if x >= last + 4:
            y, last = height_at(branch, x), x
            ticks += f"M{number(x)} {number(y - half)}V{number(y + half)}"
    if ticks:
        yield f'<path class="tick" d="{ticks}"/>'
    for token, kind in picture.boundaries:
        if branch.start <= token < branch.stop:
            x = max(layout.axis(branch.depth + token - branch.start), branch.x0 + branch.bend)
            at = f"translate({number(x)} {number(branch.y - branch.width / 2 - 1)})"
            yield f'<path class="mark" transform="{at}" d="{MARKS[kind]}"><title>{kind}</title></path>'
