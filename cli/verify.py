"""kat-verify: grade trajectories, validate tasks, and report on graded ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from katcli import verify_report, verify_validate
from katcli.contract import Program
from katcli.options import Files, Runtime, Sandbox
from katcli.run import Run

if TYPE_CHECKING:
    from katcore.verify import Judge

kat = Program("kat-verify", "Grade what an attempt changed, in a fresh sandbox.")


@kat.command()
def verify(
    run: Run,
    files: Files = None,
    tasks: Annotated[
        list[Path] | None, typer.Option("--tasks", metavar="FILE", help="Tasks that do not travel in the stream.")
    ] = None,
    sandbox: Sandbox = "bubblewrap",
    runtime: Runtime = "",
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="Longest test run; longer ones are failures.")
    ] = 1800.0,
    reuse: Annotated[
        bool, typer.Option("--reuse/--no-reuse", help="Take the verdict of an identical task, patch and sandbox.")
    ] = True,
    judge: Annotated[
        list[str] | None,
        typer.Option("--judge", metavar="ENGINE", help="Endpoint that judges, openai:URL; several take turns."),
    ] = None,
    judge_model: Annotated[
        list[str] | None,
        typer.Option("--judge-model", metavar="NAME", help="The model to ask there, one for each --judge."),
    ] = None,
    judge_key: Annotated[
        str, typer.Option("--judge-key", metavar="VARIABLE", help="Environment variable with the endpoint's key.")
    ] = "OPENAI_API_KEY",
    votes: Annotated[int, typer.Option("--votes", metavar="N", min=1, help="A judge's votes on each attempt.")] = 3,
    judge_calls: Annotated[
        int, typer.Option("--judge-calls", metavar="N", min=0, help="Most calls to judges; 0: no limit.")
    ] = 0,
) -> None:
    """Grade trajectories in the way their tasks ask for: tests, rules, judge, references, web, or dual.

    Each trajectory's patch is applied to the task's base commit in a fresh sandbox that the agent never touched,
    without a network. Test files and test configuration are the task's own; what the patch says of them is dropped.
    By tests the reward is 1 when every FAIL_TO_PASS and every PASS_TO_PASS test passes, else 0. Rules and judges give
    rewards from 0 to 1; to a judge the work is data, and votes that followed it do not count. Where the infrastructure
    fails the verdict is masked: it says nothing about the attempt. Commands that look for the answer are flagged.
    """
    from katcore import records
    from katcore.sandbox import sandbox_name
    from katcore.verify import Grader, Verifier, attempts, task_table

    panel = _panel(judge or [], judge_model or [], judge_key, votes, judge_calls, reuse)
    verifier = Verifier(Grader(sandbox=sandbox_name(sandbox, runtime), timeout_s=timeout, reuse=reuse), panel)
    known = task_table(run.read(tasks, records.Task)) if tasks else {}
    stream = run.read(files, records.Task, records.Trajectory)
    run.stage(attempts(stream, known), verifier)


def _panel(engines: list[str], models: list[str], key: str, votes: int, calls: int, reuse: bool) -> Judge | None:
    """The judge that the options name, or None."""
    from katcore.errors import UsageError
    from katcore.llm import Budget, Client
    from katcore.verify import Judge

    if len(models) != len(engines):
        raise UsageError("--judge and --judge-model go together, one model for each endpoint")
    budget = Budget(calls=calls)
    clients = [
        Client.named(engine, model, key_variable=key, budget=budget, reuse=reuse)
        for engine, model in zip(engines, models)
    ]
    return Judge(tuple(clients), votes=votes) if clients else None


verify_report.register(kat)
verify_validate.register(kat)
main = kat.main
