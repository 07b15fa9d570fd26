"""The loop itself: collect, train, hand the weights over, until the iterations or the steps are done.

In: a `RunPlan`. Out: a folder with metrics.jsonl (a line an iteration), the graded attempts of every iteration,
checkpoints, the last model on top. Resumed after a crash it goes on at the iteration that was under way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from katcore.disk.whole import write_whole
from katcore.errors import UsageError
from katcore.loop.collector import Collector
from katcore.loop.plan import RunFile, RunPlan
from katcore.records import Pack, Trajectory
from katcore.streams import Line

if TYPE_CHECKING:
    from katcore.train.trainer import Trainer

Metrics = dict[str, Any]


def learn(
    plan: RunPlan, out: Path, *, resume: bool = False, report: Callable[[Metrics], None] = lambda m: None
) -> None:
    """Run all iterations and leave the trained model in `out`."""
    from katcore.train import checkpoint
    from katcore.train.tensorboard import events, write_scalars
    from katcore.train.trainer import Trainer

    last = checkpoint.newest(out) if resume else None
    if not resume and any(out.glob("step-*")):
        raise UsageError(f"{out} holds a run already", hint="--resume goes on with it; or name another folder")
    file = plan.file
    trainer = Trainer.load(last or plan.model, file.train)
    done = 0
    if last is not None:
        state = checkpoint.load_state(last)
        trainer.restore(state["trainer"])
        done = state["iteration"]
    with ExitStack() as stack:
        board = stack.enter_context(events(out / "tensorboard", done)) if file.train.save.tensorboard else None
        collector = Collector(plan, last or plan.model)
        stack.callback(collector.close)
        if last is not None:
            collector.update(last, str(done))
        for iteration in range(done, file.loop.iterations):
            if _spent(trainer, file):
                break
            graded = collector.collect(iteration, out)
            metrics = {"iteration": iteration + 1, **_rates(graded), **take_steps(trainer, graded, file)}
            state = {"trainer": trainer.state(), "iteration": iteration + 1}
            _note(out, metrics, iteration)  # ahead of the checkpoint: what it replaces is done again, and noted again
            checkpoint.save(out, iteration + 1, trainer.save, state, file.loop.keep)
            collector.update(out / f"step-{iteration + 1}", str(iteration + 1))
            if board is not None:
                write_scalars(board, metrics | {"step": iteration + 1})
            report(metrics)
    checkpoint.publish(out, trainer.save)


def take_steps(trainer: Trainer, graded: Iterable[Line], file: RunFile) -> Metrics:
    """Pack one iteration and take its optimiser steps, as far as `max-steps` goes; the last one's metrics.

    No step when no group is kept.
    """
    from katcore.pack_trie.stream import items

    packs = [item.payload for item in items(graded, file.pack_trie) if isinstance(item.payload, Pack)]
    metrics: Metrics = {}
    for _, step in groupby(packs, key=lambda pack: pack.step):
        if _spent(trainer, file):
            break
        metrics = trainer.step(list(step))
    return metrics


def _spent(trainer: Trainer, file: RunFile) -> bool:
    """Whether the steps that the file allows have been taken."""
    return 0 < file.train.optimizer.max_steps <= trainer.steps


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
