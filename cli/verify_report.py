"""kat-verify report: verdicts as a table, as JSON, or as a page."""

from __future__ import annotations

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run
from katcore.verify.options import ReportOptions


def register(kat: Program) -> None:
    """Give the command its subcommand."""
    kat.command("report", output="text")(report)


def report(run: Run, options: ReportOptions, files: Files = None) -> None:
    """Tabulate verdicts: pass@1, mean, best, pass^k with 95 % intervals, and what they cost.

    One row for each benchmark (name, version and split, as the stream's tasks say), domain, scaffold and model. Masked
    attempts are counted and left out of every rate. pass@1 has two intervals, both Wilson's: over attempts for these
    tasks, and over tasks for more tasks of the kind; the mean reward has a bootstrap over tasks. The page is one file:
    tables, and plots as SVG.
    """
    import msgspec

    from katcore.errors import InputError, UsageError
    from katcore.records import Task, Trajectory
    from katcore.verify import report_page
    from katcore.verify.report import rows, table

    if options.as_json and options.as_html:
        raise UsageError("--json or --html, not both")
    records = (line.record for line in run.read(files, Task, Trajectory) if isinstance(line.record, Task | Trajectory))
    found = rows(records, prices=_prices(options.price), seed=run.seed)
    if not found:
        raise InputError("no graded trajectories in the input", hint="kat-verify writes them")
    if options.as_html:
        run.text(report_page.page(found, options.title))
    else:
        run.text(
            msgspec.json.format(msgspec.json.encode(found), indent=2).decode() if options.as_json else table(found)
        )


def _prices(text: str) -> tuple[float, float] | None:
    from katcore.errors import UsageError

    if not text:
        return None
    prompt, _, sampled = text.partition(":")
    try:
        return float(prompt), float(sampled)
    except ValueError:
        raise UsageError(f"--price {text}: write IN:OUT, dollars for a million tokens") from None
