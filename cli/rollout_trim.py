"""kat-rollout trim: shorter trajectories, cut between exchanges only."""

from __future__ import annotations

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run
from katcore.rollout.options import TrimOptions


def register(kat: Program) -> None:
    """Give the command its subcommand."""
    kat.command("trim")(trim)


def trim(run: Run, options: TrimOptions, files: Files = None) -> None:
    """Keep the beginning of each path of a trajectory, or one path of it.

    A cut falls between exchanges only: an answer and the results of its tool calls stay or go together. What was
    trimmed says so in artifacts.trimmed, with the number of nodes, turns, calls and tokens that are gone; the verdict
    stays that of the whole attempt. A trajectory whose first answer lies beyond the limit is turned away. Tasks pass
    through.
    """
    from katcore.records import Task, Trajectory
    from katcore.trajectory.trim import TrimLimits
    from katcore.trajectory.work import Trimmer, items

    limits = TrimLimits(turns=options.turns, tokens=options.tokens, main=options.paths == "main")
    if not options.order:
        limits.check()
    run.stage(items(run.read(files, Task, Trajectory)), Trimmer(limits, options.order))
