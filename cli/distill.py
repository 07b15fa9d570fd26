"""kat-distill: the best expert per task, and its log-probs of the student's tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run
from katcore.distill.options import ChooseOptions, ScoreOptions

kat = Program("kat-distill", "Let experts teach a student on its own attempts.")


def _named(values: Sequence[str], what: str) -> tuple[tuple[str, str], ...]:
    from katcore.errors import UsageError

    pairs = []
    for value in values:
        name, equals, path = value.partition("=")
        if not (name and equals and path):
            raise UsageError(f"--expert {value}: write NAME={what}")
        pairs.append((name, path))
    return tuple(pairs)


@kat.command("score")
def score(run: Run, options: ScoreOptions, files: Files = None) -> None:
    """Add an expert's log-probs to packs.

    Each expert runs once over every tree that it teaches. Without --choice, every expert scores every token, and
    training takes their mean. An expert must share the packs' tokenizer and chat template, else the exit code is 4.
    The update is kat-train --objective opd.
    """
    from katcore.distill.choose import read_choices
    from katcore.distill.score import Scorer, items
    from katcore.model.placement import Placement
    from katcore.records import Pack, Task

    choices = None if options.choice is None else read_choices(options.choice)
    experts = _named(options.expert, "DIR")
    scorer = Scorer(experts, choices, options.temperature, Placement(options.device, options.dtype))
    run.stage(items(run.read(files, Task, Pack)), scorer)


@kat.command("choose", output="text")
def choose(run: Run, options: ChooseOptions, files: Files = None) -> None:
    """Choose the best expert for each task from graded trajectories.

    Experts are named by --expert NAME=FILE, and by the model field of the trajectories in other FILEs. The highest
    mean reward wins, a tie goes to the first by name; masked attempts do not count. One JSON object a task.
    """
    import msgspec

    from katcore.distill.choose import choose as best
    from katcore.errors import InputError
    from katcore.records import Task, Trajectory

    named = _named(options.expert, "FILE")
    sources: list[tuple[str, list[Path] | None]] = [(name, [Path(path)]) for name, path in named]
    if files or not named:
        sources.append(("", files))

    def attempts() -> Iterator[tuple[str, Trajectory]]:
        for name, paths in sources:
            for line in run.read(paths, Task, Trajectory):
                if isinstance(line.record, Trajectory):
                    run.count("in")
                    yield name or line.record.model, line.record

    choices = list(best(attempts(), options.min_samples))
    if not run.counts.get("in"):
        raise InputError("no graded trajectories in the input", hint="kat-verify writes them")
    run.count("tasks", len(choices))
    run.text("".join(msgspec.json.encode(choice).decode() + "\n" for choice in choices))


main = kat.main
