"""Engine, gateway and boxes of a loop, kept from one iteration to the next.

In: a `RunPlan`, a model folder, new weights now and then. Out: each iteration's tasks and graded attempts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec

from katcore.errors import KatError
from katcore.loop.graded import stage_of
from katcore.loop.plan import RunPlan
from katcore.pool import run
from katcore.records import Task, Trajectory, encode, key_of, tag_of
from katcore.rollout.attempts import Setup
from katcore.rollout.roller import Roller
from katcore.rollout.service import Service
from katcore.streams import Line, open_output
from katcore.verify.verifier import Verifier


class Collector:
    """Gives graded attempts, takes new weights. UsageError for a plan that cannot be, before anything starts."""

    def __init__(self, plan: RunPlan, model: Path) -> None:
        self.plan = plan
        rollout = plan.file.rollout
        agent = msgspec.structs.replace(rollout.agent, model=model)
        self.setup = Setup(
            msgspec.structs.replace(rollout, agent=agent),
            label=plan.model.resolve().name,
            seed=plan.seed,
            table=plan.table,
        )
        self.setup.check()
        self.verifier = Verifier.of(plan.file.verify)
        self.service = Service(self.setup)

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
        options = self.setup.options
        number = msgspec.structs.replace(options.number, attempt=iteration)
        setup = replace(self.setup, options=msgspec.structs.replace(options, number=number))
        tasks = _turn(self.plan.tasks, self.plan.file.loop.tasks, iteration)
        yield from tasks
        jobs = self.plan.file.jobs
        stage = stage_of(setup, Roller(setup, self.service.at(setup)), self.verifier.graded, jobs)
        lines = (Line(task, encode(task), number, "") for number, task in enumerate(tasks, 1))
        items = [item for item in stage.items(lines) if item.forward is None]
        made: dict[str, list[Trajectory]] = {}
        with closing(run(stage.process, items, jobs, ordered=False)) as outcomes:  # one that takes long holds up none
            for done in outcomes:
                if done.failed is not None:
                    raise KatError(f"{done.item.shard}: {done.failed}") from done.failed
                made[done.item.key] = done.output
        for item in items:  # what is trained on does not depend on who ended first
            yield from made[item.key]

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
