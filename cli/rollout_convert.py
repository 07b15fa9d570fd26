"""kat-rollout convert: trajectories in other people's formats, and other people's trajectories."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from katcli.contract import Program
from katcli.options import Files
from katcli.rollout_trim import PathChoice
from katcli.run import Run


class TrajectoryFormat(StrEnum):
    """The formats; `katcore.trajectory.convert.FORMATS` has one entry for each."""

    atif = "atif"
    openai = "openai"
    anthropic = "anthropic"
    mini_swe_agent = "mini-swe-agent"
    swe_bench = "swe-bench"
    verifiers = "verifiers"


def register(kat: Program) -> None:
    """Give the command its subcommand."""
    kat.command("convert")(convert)


def convert(
    run: Run,
    files: Files = None,
    to: Annotated[
        TrajectoryFormat | None, typer.Option("--to", help="Write rows of this format.", show_default=False)
    ] = None,
    source: Annotated[
        TrajectoryFormat | None, typer.Option("--from", help="Read rows of this format.", show_default=False)
    ] = None,
    paths: Annotated[
        PathChoice, typer.Option("--paths", help="The agent's own conversation, or a row for every path.")
    ] = PathChoice.main,
) -> None:
    """Write trajectories as rows of another format, or read such rows as trajectories.

    atif is ATIF 1.7 of Harbor; openai and anthropic are rows of messages and tools; mini-swe-agent is its trajectory
    1.1; swe-bench are predictions; verifiers are its traces, whole trees. Rows are JSON lines; a JSON array, a document
    by itself and a folder of such files are read too. What a format cannot say goes into its free field under `kat`;
    what it cannot hold at all is counted in the summary as lost_turns, lost_tokens, lost_logprobs, lost_calls,
    lost_messages and lost_verdicts. Fields of a foreign row that a trajectory has no place for travel along in
    artifacts.origin: written in the same format, the row is what it was. With both --from and --to, rows of one format
    become rows of the other.
    """
    from katcore.errors import UsageError
    from katcore.records import Task, Trajectory
    from katcore.trajectory import convert, work

    if to is None and source is None:
        raise UsageError("say which format: --to FORMAT or --from FORMAT")
    if to is not None:
        run.rows_only()
    found = (
        convert.foreign_items(str(source.value), files or [])
        if source is not None
        else work.items(run.read(files, Task, Trajectory), tasks=False)
    )
    run.stage(convert.items(found, str(to.value) if to else "", str(paths.value), run.count), convert.emit)
