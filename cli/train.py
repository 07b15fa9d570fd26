"""kat-train: packs to checkpoints, and new small models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run
from katcore.errors import UsageError
from katcore.loop.options import LoopOptions
from katcore.train.options import InitOptions, TrainOptions

kat = Program("kat-train", "Train a model on packed trees, no token computed twice.")


@kat.command(output="folder")
def train(run: Run, options: TrainOptions, files: Files = None) -> None:
    """Train a model on packs.

    Every unique token of a tree is computed once; the gradients are those of training each trajectory by itself. A row
    of more than --budget tokens goes in parts, still without computing a token twice. The packs of one step number make
    one optimiser step. DIR receives metrics.jsonl, a line a step; step-N folders with the optimiser's state, which
    --resume goes on from, and a link `latest`; and at its top the last model, as transformers loads it. Without a pack
    in the input the exit code is 4.

    mixed makes one step of the packs that were made for several objectives (kat-pack-trie --for grpo and --for sft)
    under one step number, each objective with its own denominators; the input is read whole first.

    With --deepspeed FILE several processes train one model: start them with the deepspeed launcher or torchrun. Packs
    are dealt to them by cost; the losses are those of one process. What FILE lacks or calls "auto" is filled in from
    the options; what contradicts them is an error. DIR must be one folder to all of them, and --resume wants as many
    processes as before.
    """
    from katcore.model.threads import wait_passively

    wait_passively()
    import torch

    from katcore.records import Pack, Task
    from katcore.train.heap import keep_memory
    from katcore.train.run import Metrics, check, fit
    from katcore.train.world import World
    from katcore.train.zero_config import read_deepspeed

    world = World.of_launcher()
    if options.deepspeed is None and world.size > 1:
        raise UsageError(f"{world.size} processes were started for one model", hint="add --deepspeed FILE")
    if not world.first:
        run.hush()
    # DeepSpeed keeps its groups: a thread of theirs that lets go of a tensor while Python ends aborts the process.
    run.at_once = options.deepspeed is not None
    check(options)
    table = None if options.deepspeed is None else read_deepspeed(options.deepspeed)
    packs = (line.record for line in run.read(files, Task, Pack) if isinstance(line.record, Pack))
    if run.dry_run and not world.first:
        return
    if run.dry_run:
        run.log(f"would train {options.model} for {options.objective} on {sum(1 for _ in packs)} packs")
        return

    def report(metrics: Metrics) -> None:
        run.count("steps")
        for name in ("tokens_unique", "tokens_flat", "tokens_trained", "tokens_computed", "forward_only_tokens"):
            run.count(name, metrics[name])
        run.detail(f"step {metrics['step']}: loss {metrics['loss']:.4f}, {metrics['seconds']:.2f} s")

    with run.folder(lock=world.first) as out:
        if not torch.cuda.is_available():
            keep_memory()
        progress = fit(options, packs, out, resume=run.resume, deepspeed=table, world=world, report=report, say=run.log)
    run.log(f"{len(progress.losses)} steps, last loss {progress.losses[-1]:.4f}, ended by {progress.stop}")


@kat.command("init", output="folder")
def init(run: Run, options: InitOptions) -> None:
    """Make a new small model with random weights.

    A Qwen3 with tied embeddings and its tokenizer, in a folder that transformers loads. The same sizes, text and
    --seed give the same bytes.
    """
    from katcore.train.init import init as make

    if run.dry_run:
        heads = f"{options.heads} query and {options.kv_heads} key heads"
        run.log(f"would make a model of {options.layers} layers of width {options.hidden}, with {heads}")
        return
    with run.folder() as out:
        parameters = make(out, options, run.seed)
    run.log(f"{parameters:,} parameters")


@kat.command("loop", output="folder")
def loop(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="RUN.toml", help="What to run.", show_default=False)],
    options: LoopOptions,
) -> None:
    """Roll out, grade, pack, train, hand the weights to the engine, and again.

    RUN.toml names a model folder and files of tasks; its tables [loop], [rollout], [verify], [pack-trie] and [train]
    hold the options of those commands. DIR receives metrics.jsonl with a line an iteration, every iteration's graded
    attempts, checkpoints for --resume, and the last model at its top.
    """
    from katcore.loop.learn import Metrics, learn
    from katcore.loop.plan import plan

    wanted = plan(file, options, seed=run.seed, table=run.scaffold_table())
    if run.dry_run:
        run.log(f"would run {wanted.file.loop.iterations} iterations on {len(wanted.tasks)} tasks")
        return

    def report(metrics: Metrics) -> None:
        run.count("iterations")
        run.count("attempts", metrics["attempts"])
        run.log(f"iteration {metrics['iteration']}: {metrics['passed']} of {metrics['attempts']} attempts passed")

    with run.folder() as out:
        learn(wanted, out, resume=run.resume, report=report)


main = kat.main
