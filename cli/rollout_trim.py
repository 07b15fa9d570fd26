"""kat-rollout trim: shorter trajectories, cut between exchanges only."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run


class PathChoice(StrEnum):
    """Which paths of a tree."""

    main = "main"
    all = "all"


def register(kat: Program) -> None:
    """Give the command its subcommand."""
    kat.command("trim")(trim)


def trim(
    run: Run,
    files: Files = None,
    turns: Annotated[
        int, typer.Option("--turns", metavar="N", min=0, help="Keep N answers of the model on each path; 0: all.")
    ] = 0,
    tokens: Annotated[
        int, typer.Option("--tokens", metavar="N", min=0, help="Keep exchanges that end within N tokens; 0: all.")
    ] = 0,
    paths: Annotated[
        PathChoice, typer.Option("--paths", help="Keep every path, or the agent's own conversation alone.")
    ] = PathChoice.all,
    order: Annotated[
        bool, typer.Option("--order", help="Number nodes anew, depth-first and by the time of their calls.")
    ] = False,
) -> None:
    """Keep the beginning of each path of a trajectory, or one path of it.

    A cut falls between exchanges only: an answer and the results of its tool calls stay or go together. What was
    trimmed says so in artifacts.trimmed, with the number of nodes, turns, calls and tokens that are gone; the verdict
    stays that of the whole attempt. A trajectory whose first answer lies beyond the limit is turned away. Tasks pass
    through.
    """
    from katcore.records import Task, Trajectory
    from katcore.trajectory.trim import TrimLimits
    from katcore.trajectory.work import Trimmer, items

    limits = TrimLimits(turns=turns, tokens=tokens, main=paths is PathChoice.main)
    if not order:
        limits.check()
    run.stage(items(run.read(files, Task, Trajectory)), Trimmer(limits, order))
