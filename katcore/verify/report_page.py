"""A report as one page: two tables, plots, and what each figure means. It needs no other file and no script.

In: rows. Out: HTML as text. The same rows give the same bytes, so that a page can be kept beside the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from katcore.verify.report import ReportRow, interval, money, short
from katcore.verify.report_plots import bars, colour, costs, curves, grid, name_of

STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 "Source Serif 4", Georgia, "Times New Roman", serif; color: #1a1a1a; background: #fff;
  max-width: 1000px; margin: 40px auto 80px; padding: 0 24px; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 4px; }
h2 { font-size: 18px; margin: 36px 0 8px; }
p.lead { color: #555; margin: 0 0 20px; }
svg, table, .key { font-family: "Source Sans 3", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
svg { width: 100%; height: auto; display: block; }
svg text { fill: #333; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 12.5px; width: 100%; font-variant-numeric: tabular-nums; }
thead th { border-top: 2px solid #111; border-bottom: 1px solid #111; font-weight: 600; }
tbody tr:last-child td { border-bottom: 2px solid #111; }
th, td { padding: 5px 7px; text-align: right; white-space: nowrap; }
th.text, td.text { text-align: left; }
td small { color: #666; display: block; font-size: 11px; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 24px; }
figure { margin: 0; }
figcaption { color: #444; font-size: 13.5px; margin: 4px 0 0; }
.key { font-size: 12.5px; display: flex; flex-wrap: wrap; gap: 4px 20px; margin: 8px 0; padding: 0; list-style: none; }
.key i { display: inline-block; width: 11px; height: 11px; margin-right: 6px; border-radius: 2px; }
dl { display: grid; grid-template-columns: 92px 1fr; gap: 4px 12px; font-size: 14px; }
dt { font-weight: 600; } dd { margin: 0; }
@media (max-width: 720px) { .pair { grid-template-columns: 1fr; } }
@media print { body { margin: 0; max-width: none; } figure { break-inside: avoid; } }
"""

NOTES = (
    ("pass@1", "Mean over tasks of the share of attempts that passed. First interval: Wilson's over attempts, what "
     "other attempts at these tasks would give. Second: Wilson's over tasks, what other tasks of the kind would give "
     "(conservative: it counts a task once, however many attempts there are)."),
    ("mean", "Mean of rewards; percentile bootstrap over tasks, 2,000 draws."),
    ("best", "Share of tasks that at least one attempt passed; Wilson's over tasks."),
    ("pass^k", "Share of tasks that every attempt passed. The curves use the unbiased estimators "
     "1 − C(n−c, k)/C(n, k) for pass@k and C(c, k)/C(n, k) for pass^k, up to the fewest attempts that a task has."),
    ("masked", "Attempts on which the infrastructure failed: counted, paid for, and in no rate."),
    ("flagged", "Attempts with commands that look for the answer (history, network, test hooks)."),
    ("cost", "Of one attempt, masked ones included: prompt and sampled tokens, model calls, minutes of the agent."),
)  # fmt: skip

NAMES = ("Benchmark", "Scaffold", "Model")
RATES = ("Tasks", "Attempts", "pass@1", "mean", "best", "pass^k", "Masked", "Flagged")
COSTS = ("Tokens in", "Tokens out", "Calls", "Minutes", "$", "$ a pass")


def page(found: Sequence[ReportRow], title: str) -> str:
    """The page of at least one row."""
    attempts, tasks = sum(row.attempts for row in found), len({task for row in found for task in row.by_task})
    key = "".join(
        f'<li><i style="background:{colour(i)}"></i>{escape(name_of(row))}</li>' for i, row in enumerate(found)
    )
    notes = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in NOTES)
    figures = [
        _figure(curves(found, "pass_at_k"), "pass@k: one of k attempts passes."),
        _figure(curves(found, "pass_hat_k"), "pass^k: all of k attempts pass."),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p class="lead">{attempts} attempts at {tasks} tasks, {len(found)} × (benchmark, scaffold, model); intervals: 95 %.</p>
{_tables(found)}
<h2>Figure 1. Pass rates</h2>
{_figure(bars(found), "Filled: pass@1. Thick bar: interval over attempts; thin line: over tasks. Hollow: best of all.")}
<h2>Figure 2. More attempts</h2>
<ul class="key">{key}</ul>
<div class="pair">{"".join(figures)}</div>
<h2>Figure 3. Cost</h2>
<div class="pair">{_figure(costs(found), "pass@1 against what an attempt costs; bars are intervals over attempts.")}
<dl>{notes}</dl></div>
<h2>Figure 4. Tasks</h2>
{"".join(_grids(found))}
</body>
</html>
"""


def _grids(found: Sequence[ReportRow]) -> list[str]:
    """One for each benchmark: they have no tasks in common."""
    kinds = sorted({row.kind for row in found})
    caption = "Each column is a task. Hatched: not tried by that row."
    return [_figure(grid([row for row in found if row.kind == kind]), f"{kind}. {caption}") for kind in kinds]


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _tables(found: Sequence[ReportRow]) -> str:
    """The rates, then the costs."""
    best = {row.kind: max(other.pass_at_1 for other in found if other.kind == row.kind) for row in found}
    several = {row.kind for row in found if sum(other.kind == row.kind for other in found) > 1}
    rates = [_rates(row, row.kind in several and row.pass_at_1 == best[row.kind]) for row in found]
    return "\n".join(
        f"<h2>Table {i}. {title}</h2>\n<div class=wide>{_table(found, columns, cells)}</div>"
        for i, title, columns, cells in (
            (1, "Rates", RATES, rates),
            (2, "Cost of an attempt", COSTS, list(map(_costs, found))),
        )
    )


def _table(found: Sequence[ReportRow], columns: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th class=text>{name}</th>" for name in NAMES) + "".join(f"<th>{name}</th>" for name in columns)
    lines = []
    for row, given in zip(found, cells):
        names = "".join(f"<td class=text>{escape(text)}</td>" for text in (row.kind, row.scaffold, row.model or "-"))
        lines.append(f"<tr>{names}{''.join(f'<td>{text}</td>' for text in given)}</tr>")
    body = "\n".join(lines)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _rates(row: ReportRow, first: bool) -> list[str]:
    """The best pass@1 of a benchmark with several rows is set off."""
    rate = f"<b>{row.pass_at_1:.3f}</b>" if first else f"{row.pass_at_1:.3f}"
    both = (row.pass_at_1_interval, row.pass_at_1_tasks_interval)
    return [
        str(row.tasks), str(row.attempts), rate + "".join(f"<small>{interval(bounds)}</small>" for bounds in both),
        f"{row.mean:.3f}<small>{interval(row.mean_interval)}</small>",
        f"{row.best:.3f}<small>{interval(row.best_interval)}</small>",
        f"{row.all_passed:.3f}", str(row.masked), str(row.flagged),
    ]  # fmt: skip


def _costs(row: ReportRow) -> list[str]:
    cost = row.cost
    figures = [short(cost.prompt_tokens), short(cost.sampled_tokens), f"{cost.calls:.1f}", f"{cost.minutes:.1f}"]
    return [*figures, money(cost.dollars), money(cost.dollars_per_pass)]
