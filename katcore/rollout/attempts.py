"""From tasks to work: which attempts there are, and how each is to be made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from katcore.engine.names import check_placement, parse
from katcore.errors import UsageError
from katcore.gateway.external import check_key
from katcore.model.placement import Placement
from katcore.pool import Item
from katcore.records import Task, Trajectory, content_id, item_key, key_of
from katcore.references import Rules
from katcore.rollout.options import RolloutOptions
from katcore.sandbox import name_of
from katcore.scaffold import check, script_of
from katcore.streams import Line


@dataclass(frozen=True)
class Setup:
    """How to roll out: the options of the command, and what the caller adds.

    `label` names the model in records, by default its folder's name. `table` is a JSON object of the user's own
    scaffolds. `journals` is a folder for the calls of rollouts under way, which the caller looks after; without one it
    is in the cache and goes with the service.
    """

    options: RolloutOptions = RolloutOptions()
    label: str = ""
    seed: int = 0
    table: str = ""
    journals: str = ""

    @property
    def sandbox(self) -> str:
        """The sandbox's whole name."""
        return name_of(self.options.boxes)

    @property
    def placement(self) -> Placement:
        """Where the embedded engine's weights lie. UsageError for a device that is none."""
        told = self.options.placement
        return Placement(told.engine_device, told.engine_dtype)

    @property
    def rules(self) -> Rules:
        """The rules for steps away from all references, those of `--references` or else the task's own."""
        told = self.options.correction
        return Rules(told.deviation, told.patience, told.replace)

    def check(self) -> None:
        """Raise UsageError for names that are none, before any input is read."""
        _ = self.sandbox
        references = self.options.correction.references
        if self.options.draw.redraws and not self.rules.patience:
            raise UsageError("nothing is drawn again unless it is stopped", hint="add --patience STEPS")
        if references is not None and self.rules.idle:
            raise UsageError("references by themselves change nothing", hint="add --replace, --patience STEPS or both")
        probe, samples = self.options.draw.probe, self.options.number.samples
        if probe and probe >= samples:
            raise UsageError(f"--probe {probe} of {samples} samples leaves nothing out", hint="raise --samples")
        check(self.options.agent.scaffold, self.table)
        check_placement(parse(self.engine_name()), self.placement)
        if self.external() is not None:
            check_key(self.external() or "openai", self.options.endpoint.key_variable)
            if not self.options.endpoint.upstream_model:
                raise UsageError("an outside endpoint needs a model's name", hint="name it with --upstream-model")
        if references is not None and not references.is_file():
            raise UsageError(f"no file {references}", hint="--references takes verified trajectories")
        if (folder := self.model_folder()) and not folder.is_dir():
            raise UsageError(f"no model in {folder}", hint="kat-train init --out DIR makes a small one")

    def engine_name(self) -> str:
        """The engine: a control's script, the one named, else the embedded one over the model folder."""
        agent = self.options.agent
        if script := script_of(agent.scaffold):
            return script
        if agent.engine:
            return agent.engine
        if agent.model is None:
            raise UsageError("no engine", hint="name one with --engine, or a model folder with --model")
        return f"embedded:{agent.model}"

    def external(self) -> Literal["openai", "anthropic"] | None:
        """The API of the outside endpoint that answers, None when the engine is no such."""
        kind = parse(self.engine_name()).kind
        return "openai" if kind == "openai" else "anthropic" if kind == "anthropic" else None

    def model_folder(self) -> Path | None:
        """The folder with tokenizer and template; None for the small ones shipped with KAT."""
        kind, _, value = self.engine_name().partition(":")
        return self.options.agent.model or (Path(value) if kind == "embedded" else None)

    def model_name(self) -> str:
        """The model's name in records, which is never a path of this machine."""
        if self.label:
            return self.label
        if self.external() is not None:
            return self.options.endpoint.upstream_model
        kind, _, value = self.engine_name().partition(":")
        if kind == "scripted":
            return f"scripted:{Path(value).name}"
        folder = self.model_folder()
        return kind if kind in ("oracle", "nop") or folder is None else folder.resolve().name


@dataclass(frozen=True)
class Attempt:
    """One trajectory to be made. `draw` counts those of the same sample that were given up before it."""

    id: str
    task: Task
    sample: int
    draw: int = 0

    @property
    def name(self) -> str:
        """The name of the attempt's session and journal; each draw has its own."""
        return f"{self.id}-draw{self.draw}" if self.draw else self.id


def attempts(lines: Iterable[Line], setup: Setup) -> Iterator[Item]:
    """Each task's line once, then an item for each of its samples; ids are known before anything runs."""
    passed: set[str] = set()
    for line in lines:
        task = line.record
        if not isinstance(task, Task) or task.instance_id in passed:
            continue
        passed.add(task.instance_id)
        yield Item(key_of(task), shard=task.instance_id, forward=line.raw)
        for attempt in attempts_at(task, setup):
            key = item_key(Trajectory, attempt.id)
            yield Item(key, attempt, shard=task.instance_id, raw=line.raw, line=line.number, source=line.source)


def attempts_at(task: Task, setup: Setup) -> Iterator[Attempt]:
    """The attempts at one task, one for each of its samples."""
    for sample in range(setup.options.number.samples):
        yield attempt_at(task, setup, sample)


def attempt_at(task: Task, setup: Setup, sample: int) -> Attempt:
    """The attempt for the sample of that number, counted from 0."""
    chosen = setup.options
    what = (task.instance_id, chosen.agent.scaffold, setup.model_name(), str(sample), str(chosen.number.attempt))
    return Attempt(content_id(*what), task, sample)
