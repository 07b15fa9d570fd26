"""kat-train: packs to checkpoints, and new small models."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from katcli.contract import Program, required
from katcli.options import Files
from katcli.run import Run

kat = Program("kat-train", "Train a model on packed trees, no token computed twice.")


class ObjectiveName(StrEnum):
    """What is minimised."""

    sft = "sft"
    em_sft = "em-sft"
    grpo = "grpo"
    opd = "opd"


class Reducer(StrEnum):
    """How per-token losses become one number."""

    token_mean = "token-mean"
    seq_mean_token_mean = "seq-mean-token-mean"
    turn_mean = "turn-mean"
    constant = "constant"


class Schedule(StrEnum):
    """The learning rate's course after the warm-up."""

    constant = "constant"
    cosine = "cosine"


class Attention(StrEnum):
    """Backends of tree attention."""

    auto = "auto"
    reference = "reference"
    segments = "segments"


@kat.command(output="folder")
def train(
    run: Run,
    files: Files = None,
    objective: Annotated[ObjectiveName, typer.Option("--objective", help="What is minimised.")] = ObjectiveName.sft,
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="The model to start from: a transformers folder.")
    ] = None,
    lr: Annotated[float, typer.Option("--lr", metavar="RATE", min=0, help="Learning rate of AdamW.")] = 1e-4,
    epochs: Annotated[
        int, typer.Option("--epochs", metavar="N", min=0, help="Passes over the input; 0: until another limit.")
    ] = 1,
    max_steps: Annotated[
        int, typer.Option("--max-steps", metavar="N", min=0, help="Stop after N optimiser steps; 0: no limit.")
    ] = 0,
    plateau: Annotated[
        str,
        typer.Option(
            "--plateau",
            metavar="REL@STEPS",
            help="Stop when the mean loss of STEPS steps is less than REL (a fraction) below that of the STEPS before.",
        ),
    ] = "",
    schedule: Annotated[Schedule, typer.Option("--schedule", help="Learning rate after the warm-up.")] = (
        Schedule.constant
    ),
    warmup: Annotated[int, typer.Option("--warmup", metavar="N", min=0, help="Steps of linear warm-up.")] = 0,
    weight_decay: Annotated[float, typer.Option("--weight-decay", metavar="W", min=0, help="AdamW's decay.")] = 0.0,
    grad_clip: Annotated[
        float, typer.Option("--grad-clip", metavar="NORM", min=0, help="Largest gradient norm; 0: no limit.")
    ] = 1.0,
    reducer: Annotated[Reducer, typer.Option("--reducer", help="How tokens' losses are averaged over the step.")] = (
        Reducer.token_mean
    ),
    constant: Annotated[
        int, typer.Option("--constant", metavar="TOKENS", min=1, help="What `--reducer constant` divides a sample by.")
    ] = 1024,
    clip_low: Annotated[float, typer.Option("--clip-low", metavar="E", min=0, help="grpo: ratio above 1 - E.")] = 0.2,
    clip_high: Annotated[float, typer.Option("--clip-high", metavar="E", min=0, help="grpo: below 1 + E.")] = 0.28,
    negative_weight: Annotated[
        float, typer.Option("--negative-weight", metavar="W", min=0, help="grpo: weight of negative advantages.")
    ] = 1.0,
    opd_weight: Annotated[
        float, typer.Option("--opd-weight", metavar="W", help="opd: weight of the teacher's stream beside grpo's.")
    ] = 1.0,
    temperature: Annotated[
        float, typer.Option("--temperature", metavar="T", help="Temperature that the tokens were sampled at.")
    ] = 1.0,
    updates: Annotated[
        int, typer.Option("--updates", metavar="N", min=1, help="Optimiser steps on each step's packs.")
    ] = 1,
    batch_packs: Annotated[
        int, typer.Option("--batch-packs", metavar="N", min=0, help="Packs a step, instead of the packs' own steps.")
    ] = 0,
    save_every: Annotated[
        int, typer.Option("--save-every", metavar="N", min=1, help="Steps between two checkpoints.")
    ] = 50,
    keep: Annotated[int, typer.Option("--keep", metavar="N", min=1, help="Checkpoints to keep.")] = 2,
    attention: Annotated[Attention, typer.Option("--attention", help="Backend of tree attention.")] = Attention.auto,
) -> None:
    """Train a model on packs.

    Every unique token of a tree is computed once; the gradients are those of training each trajectory by itself. The
    packs of one step number make one optimiser step. DIR receives metrics.jsonl, a line a step; step-N folders with
    the optimiser's state, which --resume goes on from, and a link `latest`; and at its top the last model, as
    transformers loads it. Without a pack in the input the exit code is 4.
    """
    from katcore.records import Pack, Task
    from katcore.train.losses import Settings
    from katcore.train.objective import Objective, Optimizer
    from katcore.train.run import Limits, Metrics, Plateau, fit

    folder = required(model, "model", "kat-train init --out DIR makes a small one")
    wanted = Objective(
        objective.value,
        reducer.value,
        constant,
        temperature,
        updates,
        Settings(clip_low, clip_high, opd_weight, negative_weight),
    )
    optimizer = Optimizer(lr, (0.9, 0.95), weight_decay, grad_clip, warmup, schedule.value, max_steps)
    stop = Plateau.parse(plateau) if plateau else None
    limits = Limits(epochs, max_steps, stop, batch_packs, save_every, keep)
    packs = (line.record for line in run.read(files, Task, Pack) if isinstance(line.record, Pack))
    if run.dry_run:
        run.log(f"would train {folder} for {objective.value} on {sum(1 for _ in packs)} packs")
        return

    def report(metrics: Metrics) -> None:
        run.count("steps")
        for name in ("tokens_unique", "tokens_flat", "tokens_trained"):
            run.count(name, metrics[name])
        run.detail(f"step {metrics['step']}: loss {metrics['loss']:.4f}, {metrics['seconds']:.2f} s")

    with run.folder() as out:
        progress = fit(
            folder, packs, out, wanted, optimizer, limits, resume=run.resume, backend=attention.value, report=report
        )
    run.log(f"{len(progress.losses)} steps, last loss {progress.losses[-1]:.4f}, ended by {progress.stop}")


@kat.command("init", output="folder")
def init(
    run: Run,
    model_config: Annotated[
        Path | None,
        typer.Option("--model-config", metavar="FILE", help="JSON with fields of Qwen3Config, which win over sizes."),
    ] = None,
    text: Annotated[
        list[Path] | None,
        typer.Option("--text", metavar="FILE", help="Train the tokenizer on this text; else take the one in KAT."),
    ] = None,
    vocab: Annotated[
        int, typer.Option("--vocab", metavar="N", min=1, help="Entries of a tokenizer trained with --text.")
    ] = 4096,
    layers: Annotated[int, typer.Option("--layers", metavar="N", min=1, help="Decoder layers.")] = 2,
    hidden: Annotated[int, typer.Option("--hidden", metavar="N", min=1, help="Hidden size.")] = 128,
    heads: Annotated[int, typer.Option("--heads", metavar="N", min=1, help="Query heads.")] = 4,
    kv_heads: Annotated[int, typer.Option("--kv-heads", metavar="N", min=1, help="Key and value heads.")] = 2,
    context: Annotated[int, typer.Option("--context", metavar="TOKENS", min=1, help="Longest path.")] = 8192,
) -> None:
    """Make a new small model with random weights.

    A Qwen3 with tied embeddings and its tokenizer, in a folder that transformers loads. The same sizes, text and
    --seed give the same bytes.
    """
    from katcore.train.init import Shape
    from katcore.train.init import init as make

    shape = Shape(layers, hidden, heads, kv_heads, context=context)
    if run.dry_run:
        run.log(f"would make a model of {shape}")
        return
    with run.folder() as out:
        parameters = make(out, shape, config=model_config, texts=text or (), vocab=vocab, seed=run.seed)
    run.log(f"{parameters:,} parameters")


@kat.command("loop", output="folder")
def loop(
    run: Run,
    file: Annotated[Path, typer.Argument(metavar="RUN.toml", help="What to run.", show_default=False)],
    model: Annotated[
        Path | None, typer.Option("--model", metavar="DIR", help="The model to start from, instead of RUN.toml's.")
    ] = None,
    tasks: Annotated[
        list[Path] | None, typer.Option("--tasks", metavar="FILE", help="The tasks, instead of RUN.toml's.")
    ] = None,
) -> None:
    """Roll out, grade, pack, train, hand the weights to the engine, and again.

    RUN.toml names a model folder and files of tasks; its tables [loop], [rollout], [verify], [pack-trie] and [train]
    hold the options of those commands. DIR receives metrics.jsonl with a line an iteration, every iteration's graded
    attempts, checkpoints for --resume, and the last model at its top.
    """
    from katcore.loop import Metrics, learn, plan

    wanted = plan(file, model=model, tasks=tasks or (), seed=run.seed)
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
