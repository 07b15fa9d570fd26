"""kat-verify validate: no-op, known change, wrong changes and cheats for task files."""

from __future__ import annotations

from typing import Annotated

import typer

from katcli.contract import Program
from katcli.options import Files, Runtime, Sandbox
from katcli.run import Run, TooManyFailures


def register(kat: Program) -> None:
    """Give the command its subcommand."""
    kat.command("validate")(validate)


def validate(
    run: Run,
    files: Files = None,
    sandbox: Sandbox = "bubblewrap",
    runtime: Runtime = "",
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="Longest test run; longer ones are failures.")
    ] = 1800.0,
    reuse: Annotated[
        bool, typer.Option("--reuse/--no-reuse", help="Take probes that a run before this one has finished.")
    ] = True,
) -> None:
    """Validate tasks by probes, and write those that hold with what was seen.

    Doing nothing must fail each FAIL_TO_PASS test and no PASS_TO_PASS test, the known change must pass three times out
    of three, no cheat may pass, and of a known change of up to three hunks not every wrong version may. Evidence goes
    into the task; what falls out goes to --rejects with its own, and with --strict the exit code is then 3. A
    validation that was killed goes on where it was with --resume, probe by probe.
    """
    from katcore.records import Task
    from katcore.sandbox import sandbox_name
    from katcore.verify import validation

    validator = validation.Validator(sandbox=sandbox_name(sandbox, runtime), timeout_s=timeout, reuse=reuse)
    run.stage(validation.items(run.read(files, Task)), validator)
    if run.strict and run.turned_away():
        raise TooManyFailures
