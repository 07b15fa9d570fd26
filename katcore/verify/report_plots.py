"""The plots of a report as SVG: pass@1 with intervals, pass@k and pass^k curves, cost against pass@1, tasks as a grid.

In: rows. Out: SVG elements as text, with a `title` for each mark. Colours are Okabe and Ito's, told apart also by the
colour-blind; every series has its own marker shape besides. Axes go from 0 to 1 so that plots can be compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from math import ceil, log10

from katcore.verify.report import ReportRow, short

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8a7f00")
LEFT, TOP, RIGHT, BOTTOM = 64, 16, 20, 44


def name_of(row: ReportRow) -> str:
    """How a row is called in a legend."""
    return " · ".join(part for part in (row.kind, row.scaffold, row.model or "-") if part)


def colour(i: int) -> str:
    """The colour of the i-th row."""
    return COLOURS[i % len(COLOURS)]


def bars(rows: Sequence[ReportRow]) -> str:
    """pass@1 of each row as a dot with both of its intervals, and best of all attempts as a hollow dot."""
    step, width = 34, 900
    left = min(420, 40 + max(len(name_of(row)) for row in rows) * 7)
    height = TOP + step * len(rows) + BOTTOM
    x = _scale(left, width - RIGHT)
    parts = _grid(x, TOP, height - BOTTOM, "pass@1 (filled) and best of all attempts (hollow)")
    for i, row in enumerate(rows):
        y = TOP + step * (i + 0.5)
        wide, narrow = row.pass_at_1_tasks_interval, row.pass_at_1_interval
        parts += [
            f'<text x="{left - 12}" y="{y + 4:.1f}" text-anchor="end">{escape(name_of(row))}</text>',
            _line(x(wide[0]), y, x(wide[1]), y, colour(i), 2),
            _line(x(narrow[0]), y, x(narrow[1]), y, colour(i), 7, 0.35),
            _dot(x(row.best), y, i, f"best {row.best:.3f}", hollow=True),
            _dot(x(row.pass_at_1), y, i, f"pass@1 {row.pass_at_1:.3f}"),
        ]
    return _svg(width, height, parts, "pass at 1 with intervals")


def curves(rows: Sequence[ReportRow], what: str) -> str:
    """`pass_at_k` or `pass_hat_k` of each row over k; k is on a logarithmic axis."""
    width, height = 440, 300
    most = max((len(getattr(row, what)) for row in rows), default=1) or 1
    x_of = _log_scale(LEFT, width - RIGHT, 1, max(2, most))
    y_of = _scale(height - BOTTOM, TOP)
    parts = _up_grid(y_of, LEFT, width - RIGHT)
    for k in (k for k in (1, 2, 4, 8, 16, 32, 64, 128, 256) if k <= max(2, most)):
        parts.append(f'<text x="{x_of(k):.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{k}</text>')
    label = "pass@k" if what == "pass_at_k" else "pass^k"
    parts.append(f'<text x="{(LEFT + width - RIGHT) / 2}" y="{height - 8}" text-anchor="middle">k</text>')
    parts.append(
        f'<text x="16" y="{height / 2}" text-anchor="middle" transform="rotate(-90 16 {height / 2})">{label}</text>'
    )
    for i, row in enumerate(rows):
        points = [(x_of(k), y_of(value)) for k, value in enumerate(getattr(row, what), 1)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour(i)}" stroke-width="2"/>')
        for k, (x, y) in enumerate(points, 1):
            parts.append(_dot(x, y, i, f"{name_of(row)}: {label} {getattr(row, what)[k - 1]:.3f} at k = {k}"))
    return _svg(width, height, parts, label)


def costs(rows: Sequence[ReportRow]) -> str:
    """pass@1 over what an attempt costs: dollars where prices are known, else tokens."""
    width, height = 440, 300
    priced = all(row.cost.dollars is not None for row in rows)
    values = [row.cost.dollars or 0.0 if priced else row.cost.prompt_tokens + row.cost.sampled_tokens for row in rows]
    top = _round_up(max(values, default=1.0))
    x_of, y_of = _scale(LEFT, width - RIGHT, top), _scale(height - BOTTOM, TOP)
    parts = _up_grid(y_of, LEFT, width - RIGHT)
    for i in range(5):
        value = top * i / 4
        text = f"{value:.3g}" if priced else short(value)
        parts.append(f'<text x="{x_of(value):.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{text}</text>')
    label = "dollars an attempt" if priced else "tokens an attempt (prompt and sampled)"
    parts.append(f'<text x="{(LEFT + width - RIGHT) / 2}" y="{height - 8}" text-anchor="middle">{label}</text>')
    parts.append(
        f'<text x="16" y="{height / 2}" text-anchor="middle" transform="rotate(-90 16 {height / 2})">pass@1</text>'
    )
    for i, (row, value) in enumerate(zip(rows, values)):
        low, high = row.pass_at_1_interval
        parts.append(_line(x_of(value), y_of(low), x_of(value), y_of(high), colour(i), 2, 0.6))
        parts.append(_dot(x_of(value), y_of(row.pass_at_1), i, f"{name_of(row)}: {row.pass_at_1:.3f}"))
    return _svg(width, height, parts, "cost and pass at 1")


def grid(rows: Sequence[ReportRow], most: int = 150) -> str:
    """Tasks from left to right, the easiest first: the share of attempts that passed, as darkness. At most `most`."""
    rates: dict[str, list[float]] = {}
    for row in rows:
        for task, (passed, of) in row.by_task.items():
            rates.setdefault(task, []).append(passed / of)
    tasks = sorted(rates, key=lambda task: (-sum(rates[task]) / len(rates[task]), task))[:most]
    left = min(420, 40 + max(len(name_of(row)) for row in rows) * 7)
    width = 900
    cell, step = min(26.0, (width - RIGHT - left) / max(1, len(tasks))), 24
    height = TOP + step * len(rows) + 34
    parts = []
    for i, row in enumerate(rows):
        y = TOP + step * i
        parts.append(f'<text x="{left - 12}" y="{y + 15}" text-anchor="end">{escape(name_of(row))}</text>')
        for j, task in enumerate(tasks):
            passed, of = row.by_task.get(task, (0, 0))
            fill = f'fill="{colour(0)}" fill-opacity="{0.06 + 0.94 * passed / of:.3f}"' if of else 'fill="url(#none)"'
            said = f"{task}: {passed} of {of}" if of else f"{task}: not tried"
            parts.append(
                f'<rect x="{left + j * cell:.1f}" y="{y}" width="{max(1.0, cell - 1):.1f}" height="{step - 2}" {fill}>'
                f"<title>{escape(said)}</title></rect>"
            )
    hatch = (
        '<defs><pattern id="none" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line x1="0" y1="0" x2="0" y2="5" stroke="#bbb" stroke-width="1.5"/></pattern></defs>'
    )
    cut = f" (the {most} easiest of {len(rates)})" if len(rates) > most else ""
    parts.append(f'<text x="{left}" y="{height - 10}">{len(tasks)} tasks, the easiest first{cut}; dark: passed</text>')
    return _svg(width, height, [hatch, *parts], "tasks and rows")


def _svg(width: int, height: float, parts: Sequence[str], name: str) -> str:
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" role="img" '
        f'aria-label="{escape(name)}" font-size="12">\n{body}\n</svg>'
    )


def _scale(low: float, high: float, top: float = 1.0) -> Callable[[float], float]:
    return lambda value: low + (high - low) * (value / top if top else 0)


def _log_scale(low: float, high: float, first: float, last: float) -> Callable[[float], float]:
    span = log10(last) - log10(first)
    return lambda value: low + (high - low) * (log10(value) - log10(first)) / span


def _round_up(value: float) -> float:
    if value <= 0:
        return 1.0
    size = 10.0 ** (ceil(log10(value)) - 1)
    return ceil(value / size) * size


def _grid(x: Callable[[float], float], top: float, bottom: float, label: str) -> list[str]:
    parts = []
    for value in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parts.append(_line(x(value), top, x(value), bottom, "#ccc", 1))
        parts.append(f'<text x="{x(value):.1f}" y="{bottom + 16}" text-anchor="middle">{value:g}</text>')
    middle = (x(0) + x(1)) / 2
    return [*parts, f'<text x="{middle:.1f}" y="{bottom + 36}" text-anchor="middle">{label}</text>']


def _up_grid(y: Callable[[float], float], left: float, right: float) -> list[str]:
    parts = []
    for value in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        parts.append(_line(left, y(value), right, y(value), "#ccc", 1))
        parts.append(f'<text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
    return parts


def _line(x1: float, y1: float, x2: float, y2: float, stroke: str, width: float, opacity: float = 1.0) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{stroke}" stroke-width="{width}"'
        f' stroke-opacity="{opacity}"/>'
    )


def _dot(x: float, y: float, i: int, said: str, hollow: bool = False) -> str:
    """A circle, square, diamond or triangle, by the row's place."""
    fill = "#fff" if hollow else colour(i)
    paint = f'fill="{fill}" stroke="{colour(i)}" stroke-width="1.5"'
    shapes = (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" {paint}>',
        f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" {paint}>',
        f'<path d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z" {paint}>',
        f'<path d="M{x:.1f} {y - 6:.1f}l6 10h-12z" {paint}>',
    )
    shape = shapes[i % len(shapes)]
    return f"{shape}<title>{escape(said)}</title></{shape[1:].split(' ')[0]}>"
