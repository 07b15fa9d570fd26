"""A training run in a folder: steps over a stream of packs until something says stop, with checkpoints and metrics.

In: packs, a trainer, a folder. Out: DIR/metrics.jsonl with one line a step, checkpoints, the last model at DIR's top.
Resumed after any crash it takes the same steps with the same losses: data order is the input's, and weights,
optimiser and random state come back bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from katcore.disk.whole import write_whole
from katcore.errors import InputError, UsageError
from katcore.records import Pack
from katcore.train import checkpoint, zero
from katcore.train.batch import Step, steps
from katcore.train.objective import TrainObjective
from katcore.train.options import Optimizer, SaveOptions, TrainOptions
from katcore.train.tensorboard import Writer, events, write_scalars
from katcore.train.trainer import Trainer
from katcore.train.world import ALONE, World

Metrics = dict[str, Any]


@dataclass(frozen=True)
class Plateau:
    """Stop when the mean loss of the last `window` steps is less than `relative` better than that of those before."""

    relative: float
    window: int

    @classmethod
    def parse(cls, text: str) -> Plateau:
        """The plateau that `REL@STEPS` means, such as `0.02@50`: less than 2 % better over 50 steps."""
        relative, at, window = text.partition("@")
        try:
            made = cls(float(relative), int(window))
        except ValueError:
            made = cls(-1, 0)
        if not at or not 0 <= made.relative < math.inf or made.window < 1:
            raise UsageError(f"--plateau {text}: write REL@STEPS, such as 0.02@50")
        return made

    def reached(self, losses: list[float]) -> bool:
        """Whether the losses so far, oldest first, have stopped falling."""
        if len(losses) < 2 * self.window:
            return False
        before = sum(losses[-2 * self.window : -self.window]) / self.window
        last = sum(losses[-self.window :]) / self.window
        return before - last < self.relative * abs(before)


@dataclass(frozen=True)
class Ending:
    """When to stop, apart from the end of the data. 0 epochs or steps: no such limit."""

    optimizer: Optimizer

    def __post_init__(self) -> None:
        ends = (self.plateau, self.optimizer.epochs, self.optimizer.max_steps)  # each is read: a bad one is refused
        if not any(ends):
            raise UsageError("nothing would end this run", hint="add --max-steps N or --plateau REL@STEPS")

    @cached_property
    def plateau(self) -> Plateau | None:
        """The plateau that the options ask for; None without one."""
        return Plateau.parse(self.optimizer.plateau) if self.optimizer.plateau else None

    def reason(self, losses: list[float]) -> str:
        """Why to stop after the steps with these losses, oldest first; empty to go on."""
        if self.optimizer.max_steps and len(losses) >= self.optimizer.max_steps:
            return "max-steps"
        if self.plateau and self.plateau.reached(losses):
            return "plateau"
        return ""


@dataclass
class Progress:
    """What a run has done: the losses of its steps, a hash of the packs they saw, and why it ended."""

    losses: list[float] = field(default_factory=list)
    seen: Any = field(default_factory=hashlib.sha256)
    stop: str = ""

    def take(self, step: Step) -> None:
        """Take the packs of one step into the hash."""
        for row in step.rows:
            self.seen.update(row.id.encode() + b"\0")
        self.seen.update(b"\n")


def check(options: TrainOptions) -> None:
    """Raise UsageError for options that do not go together, before any input is read."""
    if options.model is None:
        raise UsageError("--model is missing", hint="kat-train init --out DIR makes a small one")
    Ending(options.optimizer)
    TrainObjective(options.objective, options.minimised)


def fit(
    options: TrainOptions,
    packs: Iterable[Pack],
    out: Path,
    *,
    resume: bool = False,
    deepspeed: dict[str, Any] | None = None,
    world: World = ALONE,
    report: Callable[[Metrics], None] = lambda metrics: None,
    say: Callable[[str], None] = lambda line: None,
) -> Progress:
    """Train `--model` on `packs` and leave it in `out`. InputError when there are no packs.

    With a table of DeepSpeed's every process of `world` calls this; rank 0's packs are read, and it alone writes here.
    """
    check(options)
    assert options.model is not None
    if deepspeed is not None:
        zero.start(world)
    last = world.broadcast(lambda: _checked(out, resume))
    trainer = Trainer.load(last or options.model, options, deepspeed=deepspeed, world=world)
    if trainer.memory is not None:
        trainer.memory.say = say
    state: dict[str, Any] = checkpoint.load_state(last) if last else {"losses": [], "seen": ""}
    if last:
        trainer.restore(state["trainer"], last)
    progress = Progress(list(state["losses"]))
    batches = _batches(packs, trainer, options)
    _skip(batches, progress, state["seen"], world)
    if not progress.losses:
        first = next(batches, None)  # before anything is written
        if first is None:
            world.refuse(
                InputError("no packs in the input", hint="kat-pack-trie --rejects FILE says why nothing was packed")
            )
        batches = chain([first], batches)
    with ExitStack() as stack:
        if options.save.tensorboard and world.first:  # first: a missing package must not leave half a run
            report = _drawn(stack.enter_context(events(out / "tensorboard", trainer.steps)), report)
        log = stack.enter_context(_metrics(out, trainer.steps)) if world.first else None
        saved = _train(trainer, batches, options, out, progress, log, report)
    if saved != trainer.steps:
        _save(trainer, progress, out, options.save)
    checkpoint.publish(out, trainer.save, world)
    if deepspeed is not None:
        world.leave()
    return progress


def _drawn(writer: Writer, report: Callable[[Metrics], None]) -> Callable[[Metrics], None]:
    """A report that writes a step's numbers to event files and then calls `report`."""

    def both(metrics: Metrics) -> None:
        write_scalars(writer, metrics)
        report(metrics)

    return both


def _checked(out: Path, resume: bool) -> Path | None:
    """The checkpoint to go on from, None for a new run. UsageError rather than mixing two runs in one folder."""
    if resume:
        return checkpoint.newest(out)
    if (out / "metrics.jsonl").exists() or any(out.glob("step-*")):
        raise UsageError(f"{out} holds a run already", hint="--resume goes on with it; or name another folder")
    return None


def _batches(packs: Iterable[Pack], trainer: Trainer, options: TrainOptions) -> Iterator[Step]:
    """The steps of every epoch. A stream is read once: its packs stay in memory when there is another epoch."""
    objective = trainer.objective
    kept: list[Step] = []
    read = steps(
        _accepted(packs, trainer), objective.reducer, objective.options.constant, options.batch_packs,
        by_objective=objective.by_objective,
    )  # fmt: skip
    for step in trainer.world.stream(read):
        if options.optimizer.epochs != 1:
            kept.append(step)
        yield step
    epoch = 1
    while kept and epoch != options.optimizer.epochs:
        yield from kept
        epoch += 1


def _accepted(packs: Iterable[Pack], trainer: Trainer) -> Iterator[Pack]:
    for pack in packs:
        trainer.accept(pack)
        yield pack


def _skip(batches: Iterator[Step], progress: Progress, seen: str, world: World) -> None:
    """Pass over the steps already taken; InputError when the input is not the one they were taken on."""
    for _ in progress.losses:
        step = next(batches, None)
        if step is None:
            break
        progress.take(step)
    if progress.losses and progress.seen.hexdigest() != seen:
        message = "this run was started on other packs than those in the input"
        world.refuse(InputError(message, hint="give it the same input"))


def _train(
    trainer: Trainer,
    batches: Iterator[Step],
    options: TrainOptions,
    out: Path,
    progress: Progress,
    log: TextIO | None,
    report: Callable[[Metrics], None],
) -> int:
    """Step until a limit or the end of the data; returns the last step that a checkpoint holds."""
    saved = trainer.steps
    ending = Ending(options.optimizer)
    progress.stop = ending.reason(progress.losses)
    while not progress.stop:
        step = next(batches, None)
        if step is None:
            progress.stop = "end of data"
            break
        metrics: Metrics = trainer.take(step)
        progress.take(step)
        progress.losses.append(metrics["loss"])
        progress.stop = ending.reason(progress.losses)
        if progress.stop:
            metrics["stop"] = progress.stop
        if log is not None:
            log.write(json.dumps(metrics) + "\n")
            log.flush()
        report(metrics)
        if trainer.steps % options.save.save_every == 0:
            _save(trainer, progress, out, options.save)
            saved = trainer.steps
    return saved


def _save(trainer: Trainer, progress: Progress, out: Path, options: SaveOptions) -> None:
    state = {"trainer": trainer.state(), "losses": progress.losses, "seen": progress.seen.hexdigest()}
    checkpoint.save(out, trainer.steps, trainer.checkpoint, state, options.keep, trainer.world)


def _metrics(out: Path, steps_done: int) -> TextIO:
    """metrics.jsonl, open at its end; lines after `steps_done`, which a crash has undone or cut short, are removed."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / "metrics.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
    whole = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= steps_done]
    write_whole(path, "".join(whole))
    return path.open("a", encoding="utf-8")
