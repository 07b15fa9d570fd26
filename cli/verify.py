"""kat-verify: grade trajectories, and report on graded ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run

kat = Program("kat-verify", "Grade what an attempt changed, in a fresh sandbox.")


@kat.command()
def verify(
    run: Run,
    files: Files = None,
    tasks: Annotated[
        list[Path] | None, typer.Option("--tasks", metavar="FILE", help="Tasks that do not travel in the stream.")
    ] = None,
    sandbox: Annotated[str, typer.Option("--sandbox", metavar="SANDBOX", help="Where the tests run.")] = "bubblewrap",
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="Longest test run; longer ones are failures.")
    ] = 1800.0,
    reuse: Annotated[
        bool, typer.Option("--reuse/--no-reuse", help="Take the verdict of an identical task, patch and sandbox.")
    ] = True,
) -> None:
    """Grade trajectories by their tasks' tests.

    Each trajectory's patch is applied to the task's base commit in a fresh sandbox that the agent never touched,
    without a network. Test files and test configuration are the task's own; what the patch says of them is dropped.
    The reward is 1 when every FAIL_TO_PASS and every PASS_TO_PASS test passes, else 0. Where the infrastructure fails
    the verdict is masked: it says nothing about the attempt.
    """
    from katcore import records
    from katcore.verify import Grader, attempts, task_table

    known = task_table(run.read(tasks, records.Task)) if tasks else {}
    stream = run.read(files, records.Task, records.Trajectory)
    run.stage(attempts(stream, known), Grader(sandbox=sandbox, timeout_s=timeout, reuse=reuse))


@kat.command("report", output="text")
def report(
    run: Run,
    files: Files = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of a table.")] = False,
) -> None:
    """Tabulate verdicts: pass@1, mean, best, pass^k with 95 % intervals.

    One row for each domain, scaffold and model. Masked attempts are counted and left out of every rate.
    """
    import msgspec

    from katcore.errors import InputError
    from katcore.records import Task, Trajectory
    from katcore.verify import rows, table

    lines = run.read(files, Task, Trajectory)
    found = rows(line.record for line in lines if isinstance(line.record, Trajectory))
    if not found:
        raise InputError("no graded trajectories in the input", hint="kat-verify writes them")
    run.text(msgspec.json.format(msgspec.json.encode(found), indent=2).decode() if as_json else table(found))


main = kat.main
