"""kat-verify validate: no-op, known change, wrong changes and cheats for task files."""

from __future__ import annotations

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run, TooManyFailures
from katcore.verify.options import ValidateOptions


def register(kat: Program) -> None:
    """Give the command its subcommand."""
    kat.command("validate", output="unordered")(validate)


def validate(run: Run, options: ValidateOptions, files: Files = None) -> None:
    """Validate tasks by probes, and write those that hold with what was seen.

    Doing nothing must fail each FAIL_TO_PASS test and no PASS_TO_PASS test, the known change must pass three times out
    of three, no cheat may pass, and of a known change of up to three hunks not every wrong version may. Evidence goes
    into the task; what falls out goes to --rejects with its own, and with --strict the exit code is then 3. A
    validation that was killed goes on where it was with --resume, probe by probe.
    """
    from katcore.records import Task
    from katcore.verify import validation

    validator = validation.Validator(options)
    run.stage(validation.items(run.read(files, Task)), validator)
    if run.strict and run.turned_away():
        raise TooManyFailures
