"""kat-distill: the best expert per task, and its log-probs of the student's tokens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run

kat = Program("kat-distill", "Let experts teach a student on its own attempts.")


def _named(values: list[str] | None, what: str) -> tuple[tuple[str, str], ...]:
    from katcore.errors import UsageError

    pairs = []
    for value in values or []:
        name, equals, path = value.partition("=")
        if not (name and equals and path):
            raise UsageError(f"--expert {value}: write NAME={what}")
        pairs.append((name, path))
    return tuple(pairs)


@kat.command("score")
def score(
    run: Run,
    files: Files = None,
    expert: Annotated[
        list[str] | None, typer.Option("--expert", metavar="NAME=DIR", help="An expert and its model folder.")
    ] = None,
    choice: Annotated[
        Path | None,
        typer.Option("--choice", metavar="FILE", help="The expert of each task, as kat-distill choose wrote it."),
    ] = None,
    temperature: Annotated[
        float, typer.Option("--temperature", metavar="T", help="Temperature that the tokens were sampled at.")
    ] = 1.0,
) -> None:
    """Add an expert's log-probs to packs.

    Each expert runs once over every tree that it teaches. Without --choice, every expert scores every token, and
    training takes their mean. An expert must share the packs' tokenizer and chat template, else the exit code is 4.
    The update is kat-train --objective opd.
    """
    from katcore.distill.choose import read_choices
    from katcore.distill.score import Scorer, items
    from katcore.records import Pack, Task

    choices = None if choice is None else read_choices(choice)
    scorer = Scorer(_named(expert, "DIR"), choices, temperature)
    run.stage(items(run.read(files, Task, Pack)), scorer)


@kat.command("choose", output="text")
def choose(
    run: Run,
    files: Files = None,
    expert: Annotated[
        list[str] | None,
        typer.Option("--expert", metavar="NAME=FILE", help="An expert and its graded trajectories."),
    ] = None,
    min_samples: Annotated[
        int, typer.Option("--min-samples", metavar="N", min=1, help="Unmasked attempts that an expert needs on a task.")
    ] = 1,
) -> None:
    """Choose the best expert for each task from graded trajectories.

    Experts are named by --expert NAME=FILE, and by the model field of the trajectories in other FILEs. The highest
    mean reward wins, a tie goes to the first by name; masked attempts do not count. One JSON object a task.
    """
    import msgspec

    from katcore.distill.choose import choose as best
    from katcore.errors import InputError
    from katcore.records import Task, Trajectory

    named = _named(expert, "FILE")
    sources: list[tuple[str, list[Path] | None]] = [(name, [Path(path)]) for name, path in named]
    if files or not named:
        sources.append(("", files))

    def attempts() -> Iterator[tuple[str, Trajectory]]:
        for name, paths in sources:
            for line in run.read(paths, Task, Trajectory):
                if isinstance(line.record, Trajectory):
                    run.count("in")
                    yield name or line.record.model, line.record

    choices = list(best(attempts(), min_samples))
    if not run.counts.get("in"):
        raise InputError("no graded trajectories in the input", hint="kat-verify writes them")
    run.count("tasks", len(choices))
    run.text("".join(msgspec.json.encode(choice).decode() + "\n" for choice in choices))


main = kat.main
