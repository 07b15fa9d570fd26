"""kat-rollout view: a page to look at trajectories in the browser."""

from __future__ import annotations

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run
from katcore.rollout.options import ViewOptions


def register(kat: Program) -> None:
    """Give the command its subcommand."""
    kat.command("view", output="text")(view)


def view(run: Run, options: ViewOptions, files: Files = None) -> None:
    """Make one HTML page of trajectories, to look at without a network.

    The page shows each trajectory as a tree of messages coloured by lineage, with boundaries, calls and their times;
    and of the message that is chosen its text, reasoning, tool calls and results, the call's usage and sampling, and
    its tokens: which were sampled, and the log-prob of each under the pointer. Without --model, tokens are shown as
    text where they are those of KAT's small model, else as numbers. Arrow keys move; the address names the message.
    """
    from itertools import islice

    from katcore.errors import InputError, RecordError
    from katcore.records import Task, Trajectory
    from katcore.trajectory.page import page

    found = (line.record for line in run.read(files, Task, Trajectory) if isinstance(line.record, Trajectory))
    chosen = list(islice(found, options.limit))
    if next(found, None) is not None:
        run.warn(f"the page has the first {options.limit} trajectories only (--limit)")
    try:
        run.text(page(chosen, options.model))
    except RecordError as error:
        raise InputError(f"cannot be drawn: {error}") from error
    run.count("out", len(chosen))
