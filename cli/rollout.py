"""kat-rollout: let agents work on tasks in sandboxes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from katcli import rollout_convert, rollout_sandboxes, rollout_scaffolds, rollout_trim, rollout_view
from katcli.contract import Program
from katcli.options import Files
from katcli.rollout_gateway import gateway
from katcli.run import Run

kat = Program("kat-rollout", "Let agents work on tasks in sandboxes, and keep every model call.")


@kat.command()
def rollout(
    run: Run,
    files: Files = None,
    scaffold: Annotated[
        str, typer.Option("--scaffold", metavar="SCAFFOLD", help="The agent; oracle and nop are controls.")
    ] = "bash-loop",
    engine: Annotated[
        str, typer.Option("--engine", metavar="ENGINE", help="What answers the agent; by default embedded:MODEL.")
    ] = "",
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="DIR", help="Model folder: tokenizer, chat template, embedded engine."),
    ] = None,
    sandbox: Annotated[str, typer.Option("--sandbox", metavar="SANDBOX", help="Where the agents run.")] = "bubblewrap",
    samples: Annotated[int, typer.Option("--samples", metavar="N", min=1, help="Attempts at each task.")] = 1,
    attempt: Annotated[
        int, typer.Option("--attempt", metavar="N", min=0, help="Tells repeated rollouts of the same model apart.")
    ] = 0,
    temperature: Annotated[float, typer.Option("--temperature", min=0, help="Sampling temperature.")] = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", min=0, max=1, help="Nucleus sampling; 1 is off.")] = 1.0,
    top_k: Annotated[int, typer.Option("--top-k", metavar="N", min=-1, help="Most likely tokens; -1 is off.")] = -1,
    max_turns: Annotated[int, typer.Option("--max-turns", metavar="N", min=1, help="Model calls of one agent.")] = 50,
    max_tokens: Annotated[
        int, typer.Option("--max-tokens", metavar="N", min=1, help="Sampled tokens of one attempt.")
    ] = 1_000_000,
    max_completion: Annotated[
        int, typer.Option("--max-completion", metavar="N", min=1, help="Sampled tokens of one model call.")
    ] = 4096,
    context: Annotated[
        int, typer.Option("--context", metavar="N", min=0, help="Tokens of one call; 0: what the model folder says.")
    ] = 0,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="Longest run of an agent.")
    ] = 1800.0,
    command_timeout: Annotated[
        float, typer.Option("--command-timeout", metavar="SECONDS", min=1, help="Longest run of one of its commands.")
    ] = 120.0,
    agent_sampling: Annotated[
        bool, typer.Option("--agent-sampling", help="Let the agent's own temperature and top-p stand (to evaluate).")
    ] = False,
    fsync: Annotated[bool, typer.Option("--fsync", help="Let the journal of calls survive a loss of power.")] = False,
) -> None:
    """Let an agent work on each task, and write what it did.

    Every attempt runs in a sandbox of its own that holds the repository at its base commit and the environment, and
    nothing of the task's tests or solution. Its only way out is the gateway, which gives the agent's prompts to the
    engine as exact tokens and keeps every call as a tree. Each task passes through, ahead of its trajectories. A
    sandbox that fails is tried twice; the trajectory then says so.
    """
    from katcore.records import Task
    from katcore.rollout import Options, Roller, attempts

    options = Options(
        scaffold=scaffold,
        engine=engine,
        model=model,
        sandbox=sandbox,
        samples=samples,
        attempt=attempt,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        max_turns=max_turns,
        max_tokens=max_tokens,
        max_completion=max_completion,
        context=context,
        timeout_s=timeout,
        command_timeout_s=command_timeout,
        seed=run.seed,
        agent_sampling=agent_sampling,
        sync=fsync,
        table=run.scaffold_table(),
    )
    options.check()
    roller = Roller(options)
    try:
        run.stage(attempts(run.read(files, Task), options), roller)
    finally:
        roller.close()


rollout_scaffolds.register(kat)
rollout_sandboxes.register(kat)
kat.command("gateway")(gateway)
rollout_trim.register(kat)
rollout_convert.register(kat)
rollout_view.register(kat)
main = kat.main
