"""The drawing of a trie as one SVG document: no scripts, nothing from outside, readable on light and on dark pages.

In: a `Picture` and its `Layout`. Out: text. All that agents wrote is hostile: it goes through `escape`, which keeps
what XML allows and takes from it what could turn, hide or close anything.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from katcore.pack_trie.packing import por
from katcore.pack_trie.show_layout import (
    LEFT,
    RIGHT,
    Branch,
    Layout,
    bend_between,
    height_at,
    starts_of,
)
from katcore.pack_trie.show_picture import CONTEXT, SAMPLED, TRAINED, UNTRAINED, End, Picture

WIDTH = 1000
TOP = 112.0
TABLE = 736.0
SHADES = 4
SPARK = 8.0  # a lone trained token is drawn this wide, or nobody would see it
TITLE_LINES = 14
MONO = 5.8  # advance of a character of the captions
MARKS = {
    "compaction": "M-4-7L4-7L0 0Z",
    "mode": "M0-8L4-4L0 0L-4-4Z",
    "subagent": "M-3.5-7H3.5V0H-3.5Z",
    "title": "M-3.5-6.5L3.5 0M3.5-6.5L-3.5 0",
}

STYLE = """
  text{font:11px ui-sans-serif,system-ui,sans-serif;fill:#1f2328}
  .bg{fill:#fff}.h{font-size:16px;font-weight:600}.dim{fill:#59636e}.small{font-size:10px}.e{text-anchor:end}
  .m{text-anchor:middle}
  .cap{font:9.5px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#59636e;white-space:pre}
  .grid{stroke:#59636e;stroke-opacity:.16}.lead{stroke:#59636e;stroke-opacity:.4;stroke-dasharray:1 3}
  path,line{fill:none}.tick{stroke:#1f2328;stroke-width:1}.mark{fill:#1f2328;stroke:#1f2328;stroke-width:1.2}
  .yes{fill:#1f2328;stroke:#1f2328}.no{stroke:#59636e}.tickmark{stroke:#fff;stroke-width:1.6}.cross{stroke:#59636e;stroke-width:1.3}
  .c{stroke:#d5dbe1}.s{stroke:#3a9188}.z{stroke:#9aa4af}.u{stroke:url(#hatch)}.hb{fill:#e7ebef}.hl{stroke:#818b98}
  .more{fill:#e7ebef;stroke:#818b98;stroke-dasharray:2 2}
  .p1{stroke:#b7d3ef}.p2{stroke:#72aee0}.p3{stroke:#2c7fc4}.p4{stroke:#0b4f94}
  .n1{stroke:#f9d2ad}.n2{stroke:#f3a35c}.n3{stroke:#dc6b14}.n4{stroke:#9c3d02}
  .tp{fill:#0b4f94;font-weight:700}.tn{fill:#9c3d02;font-weight:700}
  @media(prefers-color-scheme:dark){
  text{fill:#e6edf3}.bg{fill:#0d1117}.dim,.cap{fill:#9198a1}.grid,.lead{stroke:#9198a1}.tick{stroke:#e6edf3}
  .mark{fill:#e6edf3;stroke:#e6edf3}.yes{fill:#e6edf3;stroke:#e6edf3}.tickmark{stroke:#0d1117}.no,.cross{stroke:#9198a1}
  .c{stroke:#2f363e}.s{stroke:#3fb0a4}.z{stroke:#656d76}.hb{fill:#21262d}.hl{stroke:#767e88}
  .more{fill:#21262d;stroke:#767e88}
  .p1{stroke:#1b3a5c}.p2{stroke:#2666a3}.p3{stroke:#4c9ae0}.p4{stroke:#a5d3ff}
  .n1{stroke:#563316}.n2{stroke:#9a5216}.n3{stroke:#e48635}.n4{stroke:#ffc894}.tp{fill:#a5d3ff}.tn{fill:#ffc894}}
"""


def draw(picture: Picture, layout: Layout) -> str:
    """The document, ending in a newline."""
    colours = _colours(picture)
    parts = [*_header(picture), *_grid(layout), *_table_head(picture)]
    for branch in layout.branches:
        parts += _branch(picture, layout, branch, colours)
    parts += [part for branch in layout.branches for part in _notes(picture, layout, branch, colours)]
    parts += [part for row in layout.rows for part in _row(picture, row)]
    legend, height = _legend(picture, layout, colours, layout.bottom + 44)
    label = f"{picture.title}: {'; '.join(picture.notes)}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {num(height)}" width="{WIDTH}" '
        f'height="{num(height)}" role="img" aria-label="{escape(label)}">'
    )
    hatch = (
        '<defs><pattern id="hatch" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect class="hb" width="4" height="4"/><path class="hl" d="M1 0V4"/></pattern></defs>'
    )
    back = f'<rect class="bg" width="{WIDTH}" height="{num(height)}" rx="6"/>'
    return "\n".join([head, f"<style>{STYLE}</style>", hatch, back, *parts, *legend, "</svg>"]) + "\n"


# ------------------------------------------------------------------------------------------------- text


def escape(text: str) -> str:
    """Any text as character data or an attribute's value: one line, no control, format or private characters."""
    kept = "".join(" " if c.isspace() else c if unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return kept.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def columns(text: str) -> int:
    """How many columns a fixed-width font takes for it."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in text)


def cut(text: str, most: int) -> str:
    """The text on one line, in at most so many columns."""
    text = " ".join(text.split())
    if columns(text) <= most:
        return text
    while text and columns(text) > most - 1:
        text = text[: min(len(text) - 1, most)]
    return text.rstrip() + "…" if text else ""


def num(value: float) -> str:
    """A coordinate, to a tenth of a pixel."""
    return f"{value:.1f}".rstrip("0").rstrip(".").replace("-0", "0") if abs(value) < 0.05 else f"{value:.1f}".removesuffix(".0")


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{num(x)}" y="{num(y)}"{f" class={chr(34)}{kind}{chr(34)}" if kind else ""}>{escape(text)}</text>'


# ---------------------------------------------------------------------------------------------- colours


def _colours(picture: Picture) -> list[str]:
    """[N] the class of each token: context, sampled, untrained, or its weight in four shades either way."""
    most = float(np.abs(picture.weight).max(initial=0.0)) or 1.0
    shade = np.ceil(np.abs(picture.weight) / most * SHADES - 1e-3).astype(int).clip(0, SHADES)
    names = {CONTEXT: "c", SAMPLED: "s", UNTRAINED: "u"}
    return [
        names[state] if state != TRAINED else "z" if not n else f"{'p' if weight > 0 else 'n'}{n}"
        for state, weight, n in zip(picture.state.tolist(), picture.weight.tolist(), shade.tolist())
    ]


Segment = tuple[float, float, str]


def _segments(layout: Layout, branch: Branch, colours: Sequence[str]) -> tuple[list[Segment], list[Segment]]:
    """Stretches of one colour in pixels, the commonest of what shares a pixel; and lone weights that this would lose."""
    own = np.array(colours[branch.start : branch.stop])
    bounds = [0, *(np.flatnonzero(own[1:] != own[:-1]) + 1).tolist(), len(own)]
    xs = [layout.axis(branch.depth + bound) for bound in bounds]
    lone = float(np.char.startswith(own, ("p", "n")).mean() if False else np.mean([c[0] in "pn" for c in own])) <= 0.1
    shared: Counter[str] = Counter()
    begin, wide, sparks = xs[0], [], []
    for i, (a, b) in enumerate(zip(bounds, bounds[1:])):
        colour = str(own[a])
        shared[colour] += b - a
        if lone and colour[0] in "pn" and xs[i + 1] - xs[i] < SPARK:
            _spark(sparks, (xs[i], min(max(xs[i + 1], xs[i] + SPARK), branch.x1), colour))
        if xs[i + 1] - begin >= 1 or b == len(own):
            main = shared.most_common(1)[0][0]
            if wide and wide[-1][2] == main:
                begin = wide.pop()[0]
            wide.append((begin, xs[i + 1], main))
            begin, shared = xs[i + 1], Counter()
    return wide, sparks


def _spark(sparks: list[Segment], new: Segment) -> None:
    """Of two that would cover each other, the stronger one."""
    if not sparks or sparks[-1][1] <= new[0]:
        sparks.append(new)
    elif new[2][1] > sparks[-1][2][1]:
        sparks[-1] = (sparks[-1][0], new[0], sparks[-1][2])
        sparks.append(new)


# --------------------------------------------------------------------------------------------- branches


def _branch(picture: Picture, layout: Layout, branch: Branch, colours: Sequence[str]) -> Iterator[str]:
    """One branch with its tooltip: the context's colour from end to end, and the others on it."""
    yield f"<g>{_tooltip(picture, branch)}"
    if branch.hidden:
        x, y = branch.x0 + branch.bend, branch.y
        yield _stroke("z", branch.width, [_piece(branch, branch.x0, x)])
        yield f'<path class="more" d="M{num(x)} {num(y)}L{num(branch.x1)} {num(y - 5)}V{num(y + 5)}Z"/>'
    elif not len(branch):
        yield _stroke("z", branch.width, [_piece(branch, branch.x0, branch.x0 + branch.bend)])
    else:
        wide, sparks = _segments(layout, branch, colours)
        pieces: dict[str, list[str]] = {}
        if any(colour == "c" for *_, colour in wide):
            pieces["c"] = [_piece(branch, branch.x0, branch.x1)]
        for a, b, colour in wide:
            if colour != "c":
                pieces.setdefault(colour, []).append(_piece(branch, a, b))
        yield from (_stroke(colour, branch.width, each) for colour, each in pieces.items())
        yield from (_stroke(colour, branch.width, [_piece(branch, a, b)]) for a, b, colour in sparks)
    yield "</g>"


def _stroke(colour: str, width: float, pieces: Iterable[str]) -> str:
    return f'<path class="{colour}" stroke-width="{num(width)}" d="{"".join(pieces)}"/>'


def _piece(branch: Branch, a: float, b: float) -> str:
    """The middle line from x = a to x = b: a part of the bend, a straight part, or both."""
    edge = branch.x0 + branch.bend
    out = ""
    if a < edge and branch.bend and abs(branch.y - branch.y0) > 0.05:
        (ax, ay), *rest = bend_between(branch, a, min(b, edge))
        out = f"M{num(ax)} {num(ay)}C" + " ".join(f"{num(x)} {num(y)}" for x, y in rest)
        a = edge
        return out + (f"H{num(b)}" if b > edge else "")
    return f"M{num(a)} {num(branch.y)}H{num(b)}"


def _tooltip(picture: Picture, branch: Branch) -> str:
    names = ", ".join(f"#{picture.samples[i].name}" for i in np.flatnonzero(branch.through)[:24].tolist())
    who = f"{branch.samples} of {len(picture.samples)} samples: {names}" + (", …" if branch.samples > 24 else "")
    if branch.hidden:
        lines = [f"{branch.hidden.leaves} branches with {branch.hidden.tokens:,} tokens, not drawn", who]
    elif not len(branch):
        lines = ["ends here", who]
    else:
        lines = [f"tokens {branch.depth:,} to {branch.depth + len(branch) - 1:,} ({len(branch):,})", who]
        spans = list(_messages(picture, branch))
        for k, a, b in spans[:TITLE_LINES]:
            message = picture.messages[k]
            about = f"{message.role}, turn {message.turn}, {b - a} tokens"
            lineage = "" if message.lineage == "main" else f", {message.lineage}"
            lines.append(f"{about}{lineage}: {cut(message.text, 90)}")
        lines += [f"… {len(spans) - TITLE_LINES} more messages"] if len(spans) > TITLE_LINES else []
    return f"<title>{'&#10;'.join(map(escape, lines))}</title>"


def _messages(picture: Picture, branch: Branch) -> Iterator[tuple[int, int, int]]:
    """(message, first token, one past its last) along the branch."""
    own = picture.message_of[branch.start : branch.stop]
    bounds = [0, *(np.flatnonzero(own[1:] != own[:-1]) + 1).tolist(), len(own)]
    for a, b in zip(bounds, bounds[1:]):
        if own[a] >= 0:
            yield int(own[a]), branch.start + a, branch.start + b


def _notes(picture: Picture, layout: Layout, branch: Branch, colours: Sequence[str]) -> Iterator[str]:
    """What stands on a branch: turn starts, boundaries, and what is said where there is room."""
    half = branch.width / 2
    ticks, last = [], -9.0
    for token in starts_of(branch, picture.turn_starts):
        x = layout.axis(branch.depth + token - branch.start)
        if x - last >= 4:
            y = height_at(branch, x)
            ticks.append(f"M{num(x)} {num(y - half - 2)}V{num(y + half + 2)}")
            last = x
    if ticks:
        yield f'<path class="tick" d="{"".join(ticks)}"/>'
    for token, kind in picture.boundaries:
        if branch.start <= token < branch.stop:
            x = layout.axis(branch.depth + token - branch.start) + (branch.bend if token == branch.start else 0)
            y = height_at(branch, x) - half - 1
            yield f'<path class="mark" transform="translate({num(x)} {num(y)})" d="{MARKS[kind]}"><title>{kind}</title></path>'
    if layout.captions and len(branch):
        yield from _captions(picture, layout, branch, colours)


def _captions(picture: Picture, layout: Layout, branch: Branch, colours: Sequence[str]) -> Iterator[str]:
    """The beginning of each message that has room over the branch; of the first what sets it apart from its siblings."""
    y = branch.y - branch.width / 2 - 4
    free = branch.x0 + branch.bend + 2
    spans = list(_messages(picture, branch))
    for n, (k, a, b) in enumerate(spans):
        x = max(layout.axis(branch.depth + a - branch.start) + 2, free)
        stop = layout.axis(branch.depth + b - branch.start)
        if n == len(spans) - 1:
            stop = RIGHT if not branch.children else branch.x1
        most = int((stop - x - 4) / MONO)
        message = picture.messages[k]
        said = _apart(picture, branch, message.text) if n == 0 else message.text
        value = _lone_value(picture, branch, colours) if n == 0 else ""
        text = cut(f"{message.role}: {said}" if message.role != "assistant" else said, most - len(value))
        if most >= 8 and (text or value):
            shown = f'<tspan class="{"tn" if value[0] == "−" else "tp"}">{value}</tspan>' if value else ""
            yield f'<text class="cap" x="{num(x)}" y="{num(y)}">{shown}{escape(text)}</text>'
            free = x + (columns(value + text) + 1) * MONO


def _lone_value(picture: Picture, branch: Branch, colours: Sequence[str]) -> str:
    """The weight of the branch's first trained token, when it alone decides."""
    trained = [i for i in range(branch.start, min(branch.stop, branch.start + 64)) if colours[i][0] in "pn"]
    if len(trained) != 1 or trained[0] > branch.start + 8:
        return ""
    return f"{picture.weight[trained[0]]:+.2f} ".replace("-", "−")


def _apart(picture: Picture, branch: Branch, text: str) -> str:
    return text


# ------------------------------------------------------------------------------------- header and table


def _header(picture: Picture) -> Iterator[str]:
    unique, flat = len(picture.trie), picture.flat
    share = por(unique, flat)
    yield _text(LEFT, 32, cut(picture.title, 100), "h")
    yield _text(LEFT, 51, " · ".join(picture.notes), "dim")
    solid = 300 * unique / flat
    yield f'<rect x="{num(LEFT)}" y="64" width="300" height="8" fill="none" class="no"/>'
    yield f'<rect x="{num(LEFT)}" y="64" width="{num(solid)}" height="8" class="yes"/>'
    said = f"{unique:,} unique of {flat:,} flat tokens · POR {share:.3f} · 1/(1−POR) = {flat / unique:.2f}×"
    yield _text(LEFT + 310, 72, said)


def _table_head(picture: Picture) -> Iterator[str]:
    if any(s.reward is not None for s in picture.samples):
        yield _text(TABLE + 58, TOP - 10, "reward", "dim small e")
    if _has_advantages(picture):
        yield _text(TABLE + 116, TOP - 10, "advantage", "dim small e")
    yield _text(_names_at(picture), TOP - 10, "samples", "dim small")


def _has_advantages(picture: Picture) -> bool:
    return len({s.advantage for s in picture.samples if s.advantage is not None}) > 1


def _names_at(picture: Picture) -> float:
    return TABLE + (128 if _has_advantages(picture) else 70)


def _row(picture: Picture, row: Branch) -> Iterator[str]:
    """A line of the table: passed or not, reward, advantage, and which samples end here."""
    ends = row.hidden.ends if row.hidden else row.ends
    final = [picture.samples[end.sample] for end in ends if end.final]
    y = row.y + 4
    tip = row.x1 if row.hidden or len(row) else row.x0 + row.bend
    yield f'<path class="lead" d="M{num(tip + 5)} {num(row.y)}H{num(TABLE - 10)}"/>'
    passed = [s.passed for s in final if s.passed is not None and not s.masked]
    if passed:
        yield _mark(TABLE, row.y, passed)
    yield from _means(picture, final, y)
    x = _names_at(picture)
    most = int((WIDTH - 14 - x) / 6.4)
    yield _text(x, y, cut(_who(picture, row, ends), most), "" if final else "dim")


def _means(picture: Picture, final: Sequence, y: float) -> Iterator[str]:
    rewards = [s.reward for s in final if s.reward is not None and not s.masked]
    if rewards:
        yield _text(TABLE + 58, y, f"{sum(rewards) / len(rewards):.3g}", "e")
    gains = [s.advantage for s in final if s.advantage is not None]
    if gains and _has_advantages(picture):
        yield _text(TABLE + 116, y, f"{sum(gains) / len(gains):+.2f}".replace("-", "−"), "e")


def _who(picture: Picture, row: Branch, ends: Sequence[End]) -> str:
    final = [picture.samples[end.sample] for end in ends if end.final]
    if row.hidden:
        return f"+{row.hidden.leaves} more ({row.samples} samples)"
    names = " ".join(f"#{s.name}" + (" masked" if s.masked else "") for s in final)
    others = " ".join(f"#{picture.samples[e.sample].name} {e.lineage}" for e in ends if not e.final)
    count = f"{len(final)}: " if len(final) > 1 else ""
    return " · ".join(part for part in (count + names, others) if part)


def _mark(x: float, y: float, passed: Sequence[bool | None]) -> str:
    """A full disc with a hook: all passed; an empty one with a cross: none; half of one: some."""
    at = f'transform="translate({num(x)} {num(y)})"'
    if all(passed):
        return f'<g {at}><title>passed</title><circle class="yes" r="5.5"/><path class="tickmark" d="M-2.6 .2L-.8 2.2L2.8-2"/></g>'
    circle = '<circle class="no" r="5.5" fill="none"/>'
    if not any(passed):
        return f'<g {at}><title>failed</title>{circle}<path class="cross" d="M-2.2-2.2L2.2 2.2M2.2-2.2L-2.2 2.2"/></g>'
    return f'<g {at}><title>{sum(map(bool, passed))} of {len(passed)} passed</title>{circle}<path class="yes" d="M0-5.5A5.5 5.5 0 0 1 0 5.5Z"/></g>'


# ------------------------------------------------------------------------------------- grid and legend


def _grid(layout: Layout) -> Iterator[str]:
    """Depths at which something parts or ends, where they have room."""
    axis, last = layout.axis, -99.0
    y = layout.bottom + 6
    for depth, x in zip(axis.depths.tolist(), axis.xs.tolist()):
        label = f"{int(depth):,}"
        room = 3.2 * len(label)
        if x - room < last + 6:
            continue
        last = x + room
        yield f'<path class="grid" d="M{num(x)} {num(layout.top)}V{num(y)}"/>' + _text(x, y + 12, label, "dim small m")
    scale = "to scale" if axis.linear else "between two forks or ends: a width ∝ √ of the tokens"
    yield _text(RIGHT + 20, y + 12, f"tokens from the start; {scale}" if axis.linear else "tokens from the start, √ scale", "dim small")


def _legend(picture: Picture, layout: Layout, colours: Sequence[str], y: float) -> tuple[list[str], float]:
    """Only what occurs; returns the height of the page too."""
    seen = set(colours)
    items: list[tuple[float, str]] = []
    if any(c[0] in "pn" for c in seen):
        items.append(_scale(picture, seen))
    for kind, label in (
        ("z", f"{picture.weighs} 0"), ("s", "sampled"), ("u", "sampled, not trained"), ("c", "context")
    ):  # fmt: skip
        if kind in seen:
            items.append(_swatch(kind, label))
    if len(picture.turn_starts):
        items.append(_keyed('<path class="tick" d="M6-6V6"/>', 12, "a turn begins"))
    for kind in dict.fromkeys(kind for _, kind in picture.boundaries):
        items.append(_keyed(f'<path class="mark" transform="translate(6 4)" d="{MARKS[kind]}"/>', 12, kind))
    items.append(_rivers(picture, layout))
    parts, x = [], LEFT
    for width, item in items:
        if x + width > WIDTH - 20:
            x, y = LEFT, y + 24
        parts.append(f'<g transform="translate({num(x)} {num(y)})">{item}</g>')
        x += width + 22
    return parts, y + 24


def _keyed(shape: str, width: float, label: str) -> tuple[float, str]:
    return width + 6 + 6.4 * len(label), shape + _text(width + 6, 4, label, "dim")


def _swatch(kind: str, label: str) -> tuple[float, str]:
    return _keyed(f'<path class="{kind}" stroke-width="9" d="M0 0H20"/>', 20, label)


def _scale(picture: Picture, seen: set[str]) -> tuple[float, str]:
    most = float(np.abs(picture.weight).max())
    shades = [f"n{i}" for i in range(SHADES, 0, -1)] if any(c[0] == "n" for c in seen) else []
    if not shades and len({c for c in seen if c[0] == "p"}) == 1:
        return _swatch(f"p{SHADES}", f"{picture.weighs} {most:.3g}")
    low = f"−{most:.2f}" if shades else "0"
    shades += ["z"] if shades else []
    shades += [f"p{i}" for i in range(1, SHADES + 1)]
    name = f"{picture.weighs}, mean of its samples"
    x = 6.2 * len(name) + 8
    start = x + 6.2 * len(low) + 6
    bars = "".join(
        f'<path class="{c}" stroke-width="9" d="M{num(start + 14 * i)} 0h14"/>' for i, c in enumerate(shades)
    )
    end = start + 14 * len(shades)
    high = f"+{most:.2f}"
    text = _text(0, 4, name, "dim") + _text(start - 6, 4, low, "dim e") + _text(end + 6, 4, high, "dim")
    return end + 6 + 6.4 * len(high), text + bars


def _rivers(picture: Picture, layout: Layout) -> tuple[float, str]:
    """How wide one sample is, and all of them."""
    total = max(b.samples for b in layout.branches)
    widths = [(1, max(1.6, layout.unit)), (total, max(1.6, layout.unit * total))]
    shapes, x = "", 0.0
    for n, width in widths[: 1 + (total > 1)]:
        label = f"{n} sample" + ("s" if n > 1 else "")
        shapes += f'<path class="z" stroke-width="{num(width)}" d="M{num(x)} 0h20"/>' + _text(x + 26, 4, label, "dim")
        x += 26 + 6.4 * len(label) + 10
    return x - 10, shapes
