"""kat-mine tasks: other people's datasets on disk as tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from katcli.contract import Program
from katcli.run import Run
from katcore.mine.options import TasksOptions


def register(kat: Program) -> None:
    """Add the subcommand to the program."""
    kat.command("tasks")(tasks)


def tasks(
    run: Run,
    paths: Annotated[
        list[Path], typer.Argument(metavar="PATH...", help="Files or folders of the dataset.", show_default=False)
    ],
    options: TasksOptions,
) -> None:
    """Read tasks of other people's datasets from disk.

    Takes JSON lines, JSON arrays, Parquet files and folders of them; of SWE-bench 5 also its task trees; of Harbor and
    Terminal-Bench folders with a task.toml. `functions` is HumanEval and MBPP. What a format holds and a task does not
    travels along in the field `dataset`: kat-build-env export gives the same rows again. Nothing is fetched.

    A SWE-smith patch brings its bug in; the task's patch is the reverse. A Harbor task's solution is a script: --solve
    runs it in a sandbox and keeps what it changed as the task's patch.

    Tasks that name an image (SWE-bench, SWE-rebench, Multi-SWE, Harbor) run in it: the Docker engine has or pulls it,
    or its archive lies in the folder that KAT_IMAGES names.
    """
    from katcore.dataset.formats import items, read
    from katcore.mine.built import Built
    from katcore.mine.solved import Solved

    built = Built(read, options.dataset) if options.build else read
    run.stage(items(options.dataset, paths), Solved(built, options.solve) if options.solve else built)
