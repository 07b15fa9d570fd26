"""kat-train: packs to checkpoints, and new small models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from katcli import train_options as o
from katcli.contract import Program, required
from katcli.options import Files
from katcli.run import Run
from katcore.errors import UsageError

kat = Program("kat-train", "Train a model on packed trees, no token computed twice.")


@kat.command(output="folder")
def train(
    run: Run,
    files: Files = None,
    objective: Annotated[o.ObjectiveName, typer.Option("--objective", help="What is minimised.")] = o.ObjectiveName.sft,
    model: o.Model = None,
    lr: o.Rate = 1e-4,
    epochs: o.Epochs = 1,
    max_steps: o.MaxSteps = 0,
    plateau: o.PlateauText = "",
    schedule: o.ScheduleOption = o.Schedule.constant,
    warmup: o.Warmup = 0,
    weight_decay: o.WeightDecay = 0.0,
    grad_clip: o.GradClip = 1.0,
    reducer: o.ReducerOption = o.Reducer.own,
    constant: o.Constant = 1024,
    clip_low: o.ClipLow = None,
    clip_high: o.ClipHigh = None,
    negative_weight: o.NegativeWeight = 1.0,
    segment: o.SegmentOption = o.SegmentName.own,
    turn_ratio: o.TurnRatioOption = o.TurnRatio.mean,
    off_policy: o.OffPolicyOption = o.OffPolicy.none,
    icepop_low: o.IcepopLow = 0.5,
    icepop_high: o.IcepopHigh = 5.0,
    tis_clip: o.TisClip = 2.0,
    max_staleness: o.MaxStaleness = None,
    reference: o.Reference = None,
    kl_ref: o.KlRef = 0.0,
    kl_estimator: o.KlEstimator = o.Estimator.k3,
    opd_weight: o.OpdWeight = 1.0,
    mix_rl: o.MixRl = 1.0,
    mix_ce: o.MixCe = 1.0,
    difficulty_weight: o.DifficultyWeight = 0.0,
    entropy_weight: o.EntropyWeight = 0.0,
    router_loss: o.RouterLoss = 0.0,
    passes: o.Passes = 1,
    temperature: o.Temperature = 1.0,
    updates: o.Updates = 1,
    batch_packs: o.BatchPacks = 0,
    budget: o.Budget = 0,
    recompute: o.Recompute = False,
    dtype: o.DtypeOption = o.Dtype.float32,
    deepspeed: o.DeepSpeed = None,
    save_every: o.SaveEvery = 50,
    keep: o.Keep = 2,
    tensorboard: o.TensorBoard = False,
    attention: o.AttentionOption = o.Attention.auto,
) -> None:
    """Train a model on packs.

    Every unique token of a tree is computed once; the gradients are those of training each trajectory by itself. A row
    of more than --budget tokens goes in parts, still without computing a token twice. The packs of one step number make
    one optimiser step. DIR receives metrics.jsonl, a line a step; step-N folders with the optimiser's state, which
    --resume goes on from, and a link `latest`; and at its top the last model, as transformers loads it. Without a pack
    in the input the exit code is 4.

    With --deepspeed FILE several processes train one model: start them with the deepspeed launcher or torchrun. Packs
    are dealt to them by cost; the losses are those of one process. What FILE lacks or calls "auto" is filled in from
    the options; what contradicts them is an error. DIR must be one folder to all of them, and --resume wants as many
    processes as before.
    """
    import torch

    from katcore.records import Pack, Task
    from katcore.train.heap import keep_memory
    from katcore.train.losses import LossSettings
    from katcore.train.mcla import Averaging
    from katcore.train.objective import Optimizer, TrainObjective
    from katcore.train.run import Metrics, Plateau, TrainLimits, fit
    from katcore.train.world import World
    from katcore.train.zero_config import read_deepspeed as read_deepspeed

    world = World.of_launcher()
    if deepspeed is None and world.size > 1:
        raise UsageError(f"{world.size} processes were started for one model", hint="add --deepspeed FILE")
    if not world.first:
        run.hush()
    # DeepSpeed keeps its groups: a thread of theirs that lets go of a tensor while Python ends aborts the process.
    run.at_once = deepspeed is not None
    folder = required(model, "model", "kat-train init --out DIR makes a small one")
    settings = LossSettings(
        clip_low=clip_low,
        clip_high=clip_high,
        opd_weight=opd_weight,
        negative_weight=negative_weight,
        segment=o.SEGMENTS[segment],
        turn_ratio=turn_ratio.value,
        off_policy=off_policy.value,
        icepop_low=icepop_low,
        icepop_high=icepop_high,
        tis_clip=tis_clip,
        max_staleness=max_staleness,
        kl_ref=kl_ref,
        kl_estimator=kl_estimator.value,
        mix_rl=mix_rl,
        mix_ce=mix_ce,
    )
    wanted = TrainObjective(
        objective.value,
        "" if reducer is o.Reducer.own else reducer.value,
        constant,
        temperature,
        updates,
        settings,
        Averaging(passes),
        difficulty_weight,
        entropy_weight,
        router_loss,
    )
    optimizer = Optimizer(lr, (0.9, 0.95), weight_decay, grad_clip, warmup, schedule.value, max_steps)
    stop = Plateau.parse(plateau) if plateau else None
    limits = TrainLimits(epochs, max_steps, stop, batch_packs, save_every, keep)
    table = None if deepspeed is None else read_deepspeed(deepspeed)
    packs = (line.record for line in run.read(files, Task, Pack) if isinstance(line.record, Pack))
    if run.dry_run and not world.first:
        return
    if run.dry_run:
        run.log(f"would train {folder} for {objective.value} on {sum(1 for _ in packs)} packs")
        return

    def report(metrics: Metrics) -> None:
        run.count("steps")
        for name in ("tokens_unique", "tokens_flat", "tokens_trained", "tokens_computed", "forward_only_tokens"):
            run.count(name, metrics[name])
        run.detail(f"step {metrics['step']}: loss {metrics['loss']:.4f}, {metrics['seconds']:.2f} s")

    with run.folder(lock=world.first) as out:
        if not torch.cuda.is_available():
            keep_memory()
        progress = fit(
            folder,
            packs,
            out,
            wanted,
            optimizer,
            limits,
            budget=budget,
            recompute=recompute,
            reference=reference,
            resume=run.resume,
            backend=attention.value,
            dtype=getattr(torch, dtype.value),
            deepspeed=table,
            world=world,
            report=report,
            say=run.log,
            tensorboard=tensorboard,
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
    from katcore.train.init import ModelShape
    from katcore.train.init import init as make

    shape = ModelShape(layers, hidden, heads, kv_heads, context=context)
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
