"""From tasks to work: which attempts there are, and how each is to be made."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from katcore.engine.names import parse
from katcore.errors import UsageError
from katcore.gateway.external import check_key
from katcore.gateway.prompt import History
from katcore.pool import Item
from katcore.records import Task, Trajectory, content_id, item_key, key_of
from katcore.references import IDLE, Rules
from katcore.sandbox import sandbox_name
from katcore.scaffold import check, script_of
from katcore.streams import Line


@dataclass(frozen=True)
class Options:
    """How to roll out. `model` is a model folder: tokenizer, template, and the engine's default; `label` names it.

    `context` 0 is what the model folder says. `attempt` tells repeated rollouts of the same task and model apart.
    `table` is a JSON object of the user's own scaffolds. `references` is a file of verified trajectories.
    `upstream_model` is the model's name at an outside endpoint, `key_variable` where its key is in the environment.
    `journals` is a folder for the calls of rollouts under way,
    which the caller looks after; without one it is in the cache and goes with the service. `rules` say what becomes of
    a step away from all references, those of `references` or else the task's own; an attempt that they stop is drawn
    again up to `redraws` times (METHOD § 5.3).
    """

    scaffold: str = "bash-loop"
    engine: str = ""
    model: Path | None = None
    label: str = ""
    sandbox: str = "bubblewrap"
    samples: int = 1
    attempt: int = 0
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = -1
    max_turns: int = 50
    max_tokens: int = 1_000_000
    max_completion: int = 4096
    context: int = 0
    boot_timeout_s: float = 900.0
    timeout_s: float = 1800.0
    command_timeout_s: float = 120.0
    output_chars: int = 6000
    seed: int = 0
    agent_sampling: bool = False
    sync: bool = False
    table: str = ""
    history: History = "sampled"
    references: Path | None = None
    rules: Rules = IDLE
    upstream_model: str = ""
    key_variable: str = ""
    journals: str = ""
    redraws: int = 0

    def check(self) -> None:
        """Raise UsageError for names that are none, before any input is read."""
        sandbox_name(self.sandbox)
        if self.redraws and not self.rules.patience:
            raise UsageError("nothing is drawn again unless it is stopped", hint="add --patience STEPS")
        if self.references is not None and self.rules.idle:
            raise UsageError("references by themselves change nothing", hint="add --replace, --patience STEPS or both")
        check(self.scaffold, self.table)
        if self.external() is not None:
            check_key(self.external() or "openai", self.key_variable)
            if not self.upstream_model:
                raise UsageError("an outside endpoint needs a model's name", hint="name it with --upstream-model")
        if self.references is not None and not self.references.is_file():
            raise UsageError(f"no file {self.references}", hint="--references takes verified trajectories")
        if (folder := self.model_folder()) and not folder.is_dir():
            raise UsageError(f"no model in {folder}", hint="kat-train init --out DIR makes a small one")

    def engine_name(self) -> str:
        """The engine: a control's script, the one named, else the embedded one over the model folder."""
        if script := script_of(self.scaffold):
            return script
        if self.engine:
            return self.engine
        if self.model is None:
            raise UsageError("no engine", hint="name one with --engine, or a model folder with --model")
        return f"embedded:{self.model}"

    def external(self) -> Literal["openai", "anthropic"] | None:
        """The API of the outside endpoint that answers, None when the engine is no such."""
        kind = parse(self.engine_name()).kind
        return "openai" if kind == "openai" else "anthropic" if kind == "anthropic" else None

    def model_folder(self) -> Path | None:
        """Where tokenizer and template are; None is the small one shipped with KAT."""
        kind, _, value = self.engine_name().partition(":")
        return self.model or (Path(value) if kind == "embedded" else None)

    def model_name(self) -> str:
        """What records call the model: never a path of this machine."""
        if self.label:
            return self.label
        if self.external() is not None:
            return self.upstream_model
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
        """What its session and its journal are called: each draw has its own."""
        return f"{self.id}-draw{self.draw}" if self.draw else self.id


def attempts(lines: Iterable[Line], options: Options) -> Iterator[Item]:
    """Each task's line once, then an item for each of its samples; ids are known before anything runs."""
    passed: set[str] = set()
    for line in lines:
        task = line.record
        if not isinstance(task, Task) or task.instance_id in passed:
            continue
        passed.add(task.instance_id)
        yield Item(key_of(task), shard=task.instance_id, forward=line.raw)
        for attempt in attempts_at(task, options):
            key = item_key(Trajectory, attempt.id)
            yield Item(key, attempt, shard=task.instance_id, raw=line.raw, line=line.number)


def attempts_at(task: Task, options: Options) -> Iterator[Attempt]:
    """The samples of one task."""
    for sample in range(options.samples):
        yield attempt_at(task, options, sample)


def attempt_at(task: Task, options: Options, sample: int) -> Attempt:
    """The sample of that number, from 0."""
    what = (task.instance_id, options.scaffold, options.model_name(), str(sample), str(options.attempt))
    return Attempt(content_id(*what), task, sample)
