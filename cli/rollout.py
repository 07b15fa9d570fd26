"""kat-rollout: let agents work on tasks in sandboxes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from katcli import rollout_convert, rollout_sandboxes, rollout_scaffolds, rollout_trim, rollout_view
from katcli.contract import Program
from katcli.options import Files, Runtime, Sandbox
from katcli.rollout_gateway import HistoryName, gateway
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
        str,
        typer.Option(
            "--engine",
            metavar="ENGINE",
            help="What answers the agent; by default embedded:MODEL. openai:URL and anthropic:URL pass through.",
        ),
    ] = "",
    model: Annotated[
        Path | None,
        typer.Option("--model", metavar="DIR", help="Model folder: tokenizer, chat template, embedded engine."),
    ] = None,
    sandbox: Sandbox = "bubblewrap",
    runtime: Runtime = "",
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
    boot_timeout: Annotated[
        float, typer.Option("--boot-timeout", metavar="SECONDS", min=1, help="Longest start of a sandbox, with setup.")
    ] = 900.0,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=1, help="Longest run of an agent.")
    ] = 1800.0,
    grade_timeout: Annotated[
        float,
        typer.Option("--grade-timeout", metavar="SECONDS", min=1, help="Longest test run of --probe, --resample."),
    ] = 1800.0,
    command_timeout: Annotated[
        float, typer.Option("--command-timeout", metavar="SECONDS", min=1, help="Longest run of one of its commands.")
    ] = 120.0,
    redraws: Annotated[
        int, typer.Option("--redraws", metavar="N", min=0, help="Draw a stopped attempt again, up to N times.")
    ] = 0,
    probe: Annotated[
        int,
        typer.Option("--probe", metavar="N", min=0, help="Grade the first N samples; all equal: leave the rest out."),
    ] = 0,
    resample: Annotated[
        int,
        typer.Option("--resample", metavar="N", min=0, help="Up to N more samples while all rewards are equal."),
    ] = 0,
    prompt_price: Annotated[
        float, typer.Option("--prompt-price", metavar="DOLLARS", min=0, help="Of a million prompt tokens.")
    ] = 0.0,
    completion_price: Annotated[
        float, typer.Option("--completion-price", metavar="DOLLARS", min=0, help="Of a million sampled tokens.")
    ] = 0.0,
    agent_sampling: Annotated[
        bool, typer.Option("--agent-sampling", help="Let the agent's own temperature and top-p stand (to evaluate).")
    ] = False,
    history: Annotated[
        HistoryName, typer.Option("--history", help="Earlier turns: as sampled, or as the template has them now.")
    ] = HistoryName.sampled,
    references: Annotated[
        Path | None,
        typer.Option("--references", metavar="FILE", help="Verified trajectories, in the place of the tasks' own."),
    ] = None,
    deviation: Annotated[
        float, typer.Option("--deviation", min=0, max=1, help="A step farther than this from every reference deviates.")
    ] = 0.5,
    patience: Annotated[
        int,
        typer.Option("--patience", metavar="N", min=0, help="Deviating steps in a row that end an attempt; 0: none."),
    ] = 0,
    replace_steps: Annotated[
        bool, typer.Option("--replace", help="Take the reference's step in the place of one that deviates.")
    ] = False,
    upstream_model: Annotated[
        str, typer.Option("--upstream-model", metavar="NAME", help="The model's name at an outside endpoint.")
    ] = "",
    key_variable: Annotated[
        str, typer.Option("--key-variable", metavar="NAME", help="Environment variable with an outside endpoint's key.")
    ] = "",
    fsync: Annotated[bool, typer.Option("--fsync", help="Let the journal of calls survive a loss of power.")] = False,
) -> None:
    """Let an agent work on each task, and write what it did.

    Every attempt runs in a sandbox of its own that holds the repository at its base commit and the environment, and
    nothing of the task's tests or solution. Its only way out is the gateway, which gives the agent's prompts to the
    engine as exact tokens and keeps every call as a tree. Each task passes through, ahead of its trajectories. A
    sandbox that fails is tried twice; the trajectory then says so. A step that leaves every verified reference of the
    task can be replaced by the nearest one's, as context and not as a target, and an attempt that stays away can end.

    With -o FILE, calls under way and trajectories that wait for their turn lie in FILE.calls, so that after kill -9
    --resume takes what had ended, makes anew what had not, and says how much. Answered calls of the latter stay there;
    kat-rollout gateway --recover --journals FILE.calls writes them as trajectories.

    --probe and --resample grade a task's samples as they end, and give the whole group its verdicts.
    """
    from katcore.records import Task
    from katcore.references import Rules
    from katcore.rollout import GroupRules, Groups, KeptAttempts, Options, Prices, Roller, Tally, attempts, groups
    from katcore.sandbox import sandbox_name

    calls = run.beside(".calls")
    options = Options(
        scaffold=scaffold,
        engine=engine,
        model=model,
        sandbox=sandbox_name(sandbox, runtime),
        samples=samples,
        attempt=attempt,
        temperature=temperature,
        top_p=top_p,
        top_k=top_k,
        max_turns=max_turns,
        max_tokens=max_tokens,
        max_completion=max_completion,
        context=context,
        boot_timeout_s=boot_timeout,
        timeout_s=timeout,
        command_timeout_s=command_timeout,
        seed=run.seed,
        agent_sampling=agent_sampling,
        sync=fsync,
        table=run.scaffold_table(),
        history=history.value,
        references=references,
        rules=Rules(threshold=deviation, patience=patience, replace=replace_steps),
        upstream_model=upstream_model,
        key_variable=key_variable,
        journals=str(calls) if calls and not run.ray else "",
        redraws=redraws,
    )
    options.check()
    rules = GroupRules(probe, resample)
    rules.check(samples)
    roller = Roller(options)
    kept = KeptAttempts(calls) if calls else None
    tally = Tally(Prices(prompt_price, completion_price))
    try:
        lines = run.read(files, Task)
        if rules.probe or rules.resample:
            from katcore.verify import Grader, Verifier

            verifier = Verifier(Grader(sandbox=options.sandbox, timeout_s=grade_timeout))
            whole = Groups(options, rules, roller, verifier.graded, run.jobs)
            run.stage(groups(lines, options), whole, kept, tally, roller.live)
        else:
            run.stage(attempts(lines, options), roller, kept, tally, roller.live)
    finally:
        roller.close()


rollout_scaffolds.register(kat)
rollout_sandboxes.register(kat)
kat.command("gateway")(gateway)
rollout_trim.register(kat)
rollout_convert.register(kat)
rollout_view.register(kat)
main = kat.main
