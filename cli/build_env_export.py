"""kat-build-env export: tasks in other people's formats."""

from __future__ import annotations

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run
from katcore.build_env.options import ExportOptions


def register(kat: Program) -> None:
    """Add the subcommand to the program."""
    kat.command("export", output="folder")(export)


def export(run: Run, options: ExportOptions, files: Files = None) -> None:
    """Write tasks in another format into a folder.

    harbor gives a folder for each task that `harbor run` takes: its image is built from the repository at its base and
    the pinned wheels, its tests are judged as kat-verify judges them. swe-bench gives a task tree of SWE-bench 5 and
    the same rows in tasks.jsonl; the other formats give tasks.jsonl. A task that came from the same format is written
    field for field as it was, but for what has changed since.
    """
    from katcore.dataset.export import export as write
    from katcore.records import Task

    def failed(name: str, why: str) -> None:
        run.warn(f"{name}: {why}")
        run.count("dead")

    with run.folder() as out:
        tasks = run.read(files, Task)
        run.count("out", write(options.to, tasks, out, failed, image=options.image, wheels=options.wheels))
