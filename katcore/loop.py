"""The RL loop: roll out, grade, pack, train, hand the weights to the engine, again; all in one process.

In: RUN.toml, whose tables hold the options of the commands that the loop stands for, by their own names. Out: a folder
with metrics.jsonl (a line an iteration), the graded attempts of every iteration, checkpoints, the last model on top.
This is the one place that composes rooms. Resumed after a crash it goes on at the iteration that was under way.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct, field

from katcore.disk.whole import write_whole
from katcore.errors import InputError, KatError, UsageError
from katcore.pool import Item, run
from katcore.records import Pack, Task, Trajectory, encode, item_key, key_of, tag_of
from katcore.references import Rules
from katcore.streams import Line, open_output, read_records

Metrics = dict[str, Any]


class Section(Struct, forbid_unknown_fields=True, rename="kebab"):
    """A table of RUN.toml: unknown keys are mistakes."""


class Loop(Section):
    """`[loop]`: how often, and what an iteration is made of."""

    iterations: int = 1
    tasks: int = 0
    """Tasks of an iteration, taken in turn; 0: all of them."""
    keep: int = 2


class Rollout(Section):
    """`[rollout]`: options of kat-rollout."""

    scaffold: str = "bash-loop"
    sandbox: str = "bubblewrap"
    samples: int = 8
    jobs: int = 8
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    max_turns: int = 50
    max_tokens: int = 1_000_000
    max_completion: int = 4096
    boot_timeout: float = 900.0
    timeout: float = 1800.0
    command_timeout: float = 120.0
    patience: int = 0
    deviation: float = 0.5
    redraws: int = 0
    probe: int = 0
    resample: int = 0


class Verify(Section):
    """`[verify]`: options of kat-verify."""

    sandbox: str = "bubblewrap"
    timeout: float = 1800.0
    reuse: bool = True


class PackTrie(Section):
    """`[pack-trie]`: options of kat-pack-trie."""

    budget: int = 32768
    groups_per_step: int = 0
    baseline: Literal["group", "trie"] = "group"


class Train(Section):
    """`[train]`: options of kat-train."""

    objective: Literal["grpo", "gspo"] = "grpo"
    lr: float = 1e-4
    weight_decay: float = 0.0
    grad_clip: float = 1.0
    warmup: int = 0
    updates: int = 1
    clip_low: float | None = None
    clip_high: float | None = None
    negative_weight: float = 1.0
    segment: Literal["own", "token", "turn", "sequence"] = "own"
    turn_ratio: Literal["mean", "product"] = "mean"
    off_policy: Literal["none", "icepop", "tis"] = "none"
    icepop_low: float = 0.5
    icepop_high: float = 5.0
    tis_clip: float = 2.0
    max_staleness: int | None = None
    kl_ref: float = 0.0
    kl_estimator: Literal["k1", "k2", "k3"] = "k3"
    reference: str = ""
    difficulty_weight: float = 0.0
    entropy_weight: float = 0.0
    passes: int = 1
    reducer: str = "own"
    budget: int = 0
    recompute: bool = False
    attention: str = "auto"


class RunFile(Section):
    """RUN.toml; paths are relative to the file. Without tasks they come from standard input."""

    model: str = ""
    tasks: list[str] = []
    seed: int = 0
    loop: Loop = field(default_factory=Loop)
    rollout: Rollout = field(default_factory=Rollout)
    verify: Verify = field(default_factory=Verify)
    pack_trie: PackTrie = field(default_factory=PackTrie)
    train: Train = field(default_factory=Train)


@dataclass(frozen=True)
class RunPlan:
    """RUN.toml read, with its paths found and its tasks loaded."""

    file: RunFile
    model: Path
    tasks: list[Task]


def plan(path: Path, *, model: Path | None = None, tasks: Sequence[Path] = (), seed: int = 0) -> RunPlan:
    """Read RUN.toml, in which `model`, `tasks` and `seed` replace its own. UsageError says what is wrong."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text("utf-8")), RunFile)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{path}: {error}") from error
    file.seed = seed or file.seed
    here = path.parent
    if file.train.reference:
        file.train.reference = str(here / file.train.reference)
    start = model or (here / file.model if file.model else None)
    if start is None:
        raise UsageError(f"{path}: no model to start from", hint="model = DIR, or --model DIR")
    sources: list[str | Path] = [*tasks] or [here / name for name in file.tasks]
    if not sources and sys.stdin.isatty():
        raise UsageError(f"{path}: no tasks", hint="tasks = [FILE], --tasks FILE, or a pipe")
    lines = read_records(sources or ["-"], (Task,))
    loaded = [line.record for line in lines if isinstance(line.record, Task)]
    if not loaded:
        raise InputError("no tasks", hint=f"{path}: tasks = {file.tasks}, or --tasks FILE")
    return RunPlan(file, start, loaded)


def learn(
    plan: RunPlan, out: Path, *, resume: bool = False, report: Callable[[Metrics], None] = lambda m: None
) -> None:
    """Run all iterations and leave the trained model in `out`."""
    from katcore.train import checkpoint
    from katcore.train.objective import Optimizer
    from katcore.train.trainer import Trainer

    last = checkpoint.newest(out) if resume else None
    if not resume and any(out.glob("step-*")):
        raise UsageError(f"{out} holds a run already", hint="--resume goes on with it; or name another folder")
    options = plan.file.train
    trainer = Trainer.load(
        last or plan.model,
        _objective(plan.file),
        Optimizer(lr=options.lr, weight_decay=options.weight_decay, grad_clip=options.grad_clip, warmup=options.warmup),
        backend=options.attention,
        budget=options.budget,
        recompute=options.recompute,
        reference=options.reference or None,
    )
    done = 0
    if last is not None:
        state = checkpoint.load_state(last)
        trainer.restore(state["trainer"])
        done = state["iteration"]
    collector = Collector(plan, last or plan.model)
    try:
        if last is not None:
            collector.update(last, str(done))
        for iteration in range(done, plan.file.loop.iterations):
            graded = collector.collect(iteration, out)
            metrics = {"iteration": iteration + 1, **_rates(graded), **_train(trainer, graded, plan)}
            state = {"trainer": trainer.state(), "iteration": iteration + 1}
            _note(out, metrics, iteration)  # ahead of the checkpoint: what it replaces is done again, and noted again
            checkpoint.save(out, iteration + 1, trainer.save, state, plan.file.loop.keep)
            collector.update(out / f"step-{iteration + 1}", str(iteration + 1))
            report(metrics)
    finally:
        collector.close()
    checkpoint.publish(out, trainer.save)


def _objective(file: RunFile) -> Any:
    from katcore.train.losses import LossSettings
    from katcore.train.mcla import Averaging
    from katcore.train.objective import TrainObjective

    options = file.train
    names = [
        name for name in LossSettings.__dataclass_fields__ if name in Train.__struct_fields__ and name != "segment"
    ]
    settings = LossSettings(
        segment=None if options.segment == "own" else options.segment,
        **{name: getattr(options, name) for name in names},
    )
    return TrainObjective(
        options.objective,
        "" if options.reducer == "own" else options.reducer,
        temperature=file.rollout.temperature,
        updates=options.updates,
        settings=settings,
        averaging=Averaging(options.passes),
        difficulty_weight=options.difficulty_weight,
        entropy_weight=options.entropy_weight,
    )


class Collector:
    """Engine, gateway and boxes, kept from one iteration to the next: gives graded attempts, takes new weights."""

    def __init__(self, plan: RunPlan, model: Path) -> None:
        from katcore.rollout.attempts import Options
        from katcore.rollout.groups import GroupRules
        from katcore.rollout.service import Service
        from katcore.verify import Grader, Verifier

        rollout, verify = plan.file.rollout, plan.file.verify
        self.plan = plan
        self.options = Options(
            scaffold=rollout.scaffold,
            model=model,
            label=plan.model.resolve().name,
            sandbox=rollout.sandbox,
            samples=rollout.samples,
            temperature=rollout.temperature,
            top_p=rollout.top_p,
            top_k=rollout.top_k,
            max_turns=rollout.max_turns,
            max_tokens=rollout.max_tokens,
            max_completion=rollout.max_completion,
            boot_timeout_s=rollout.boot_timeout,
            timeout_s=rollout.timeout,
            command_timeout_s=rollout.command_timeout,
            seed=plan.file.seed,
            rules=Rules(rollout.deviation, rollout.patience, replace=False),
            redraws=rollout.redraws,
        )
        self.options.check()
        self.rules = GroupRules(rollout.probe, rollout.resample)
        self.rules.check(rollout.samples)
        self.verifier = Verifier(Grader(sandbox=verify.sandbox, timeout_s=verify.timeout, reuse=verify.reuse))
        self.service = Service(self.options)

    def collect(self, iteration: int, out: Path) -> list[Line]:
        """The iteration's tasks and graded attempts, also written to OUT/iteration-N.jsonl.zst."""
        path = out / f"iteration-{iteration + 1}.jsonl.zst"
        writer = open_output(path, None, False)
        lines: list[Line] = []
        finished = False
        try:
            for record in self._graded(iteration):
                raw = encode(record)
                writer.write(raw, tag_of(type(record)))
                writer.commit(key_of(record))
                lines.append(Line(record, raw, len(lines) + 1, path.name))
            writer.finish()
            finished = True
        finally:
            if not finished:
                writer.abandon()
        return lines

    def _graded(self, iteration: int) -> Iterator[Task | Trajectory]:
        from katcore.rollout.attempts import attempts_at
        from katcore.rollout.groups import Groups, item_of
        from katcore.rollout.roller import Roller

        options = replace(self.options, attempt=iteration)
        roller = Roller(options, self.service.at(options))
        tasks = _turn(self.plan.tasks, self.plan.file.loop.tasks, iteration)
        yield from tasks
        jobs = self.plan.file.rollout.jobs

        def roll_and_grade(item: Item) -> Iterator[Trajectory]:
            for trajectory in roller(item):
                yield self.verifier.graded(trajectory, item.payload.task)

        if self.rules.probe or self.rules.resample:
            whole = Groups(options, self.rules, roller, self.verifier.graded, jobs)
            outcomes = run(whole, (item_of(task, options) for task in tasks), jobs)
        else:
            each = (attempt for task in tasks for attempt in attempts_at(task, options))
            items = (Item(item_key(Trajectory, one.id), one, shard=one.task.instance_id) for one in each)
            outcomes = run(roll_and_grade, items, jobs)
        for done in outcomes:
            if done.failed is not None:
                raise KatError(f"{done.item.shard}: {done.failed}") from done.failed
            yield from done.output

    def update(self, folder: Path, version: str) -> None:
        """Give the engine the weights of a model folder."""
        self.service.update_weights(str(folder), version)

    def close(self) -> None:
        """End engine and gateway."""
        self.service.close()


def _turn(tasks: Sequence[Task], count: int, iteration: int) -> list[Task]:
    """The iteration's tasks: `count` of them in turn, or all."""
    if not count or count >= len(tasks):
        return list(tasks)
    start = iteration * count
    return [tasks[(start + i) % len(tasks)] for i in range(count)]


def _train(trainer: Any, graded: Iterable[Line], plan: RunPlan) -> Metrics:
    """Pack one iteration and take its optimiser steps; the last one's metrics. No step when no group is kept."""
    from katcore.pack_trie import PackSettings, items

    options = plan.file.pack_trie
    settings = PackSettings(
        plan.file.train.objective,
        budget=options.budget,
        groups_per_step=options.groups_per_step,
        baseline=options.baseline,
    )
    packs = [item.payload for item in items(graded, settings) if isinstance(item.payload, Pack)]
    metrics: Metrics = {}
    for _, step in groupby(packs, key=lambda pack: pack.step):
        metrics = trainer.step(list(step))
    return metrics


def _rates(graded: Iterable[Line]) -> Metrics:
    """What the iteration's attempts came to."""
    verdicts = [line.record.verdict for line in graded if isinstance(line.record, Trajectory) and line.record.verdict]
    counted = [verdict for verdict in verdicts if not verdict.masked]
    return {
        "attempts": len(counted),
        "masked": len(verdicts) - len(counted),
        "passed": sum(verdict.passed for verdict in counted),
        "reward": sum(verdict.reward for verdict in counted) / max(len(counted), 1),
    }


def _note(out: Path, metrics: Metrics, iteration: int) -> None:
    """Add the iteration's line to metrics.jsonl, in place of one that a crash left for the same iteration."""
    path = out / "metrics.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    write_whole(path, "".join(line + "\n" for line in [*lines[:iteration], json.dumps(metrics)]))
