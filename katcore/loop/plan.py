"""RUN.toml: what a loop is to do, as a value.

In: a file whose tables [loop], [rollout], [verify], [pack-trie] and [train] hold the options of those commands by their
own names and within their own bounds, and what the command line says instead. Out: a `RunPlan` with its tasks loaded.
What the loop cannot be told is refused by name, with the reason (`refused.py`).
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from msgspec.structs import replace

from katcore.errors import InputError, UsageError
from katcore.loop.options import LoopOptions, LoopTable
from katcore.loop.refused import REFUSED, TABLES
from katcore.options import Options, build, check, options_of, without_none
from katcore.options.shared import Workers
from katcore.pack_trie.options import PackOptions
from katcore.records import Task
from katcore.rollout.options import RolloutOptions, SampleOptions
from katcore.streams import read_records
from katcore.train.options import TrainOptions
from katcore.verify.options import VerifyOptions

T = TypeVar("T", bound=Options)

SAMPLES = 8
"""Attempts at a task, and how many are made at a time, unless the file says otherwise: one alone teaches nothing."""
OBJECTIVES: tuple[Literal["grpo"], Literal["gspo"]] = ("grpo", "gspo")
TOP = ("model", "tasks", "seed")


@dataclass(frozen=True)
class RunFile:
    """The tables, checked. Paths are those of this machine: relative ones were relative to the file."""

    loop: LoopTable
    rollout: RolloutOptions
    jobs: int
    verify: VerifyOptions
    pack_trie: PackOptions
    train: TrainOptions


@dataclass(frozen=True)
class RunPlan:
    """RUN.toml read, with its paths found and its tasks loaded. `table`: the user's own scaffolds, as JSON."""

    file: RunFile
    model: Path
    tasks: list[Task]
    seed: int
    table: str


def plan(path: Path, instead: LoopOptions = LoopOptions(), *, seed: int = 0, table: str = "") -> RunPlan:
    """Read RUN.toml. `instead` and a `seed` other than 0 replace what it says. UsageError says what is wrong."""
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    file = tables(path, given)
    start = instead.model or _path(path, given, "model")
    if start is None:
        raise UsageError(f"{path}: no model to start from", hint="model = DIR, or --model DIR")
    own = _value(path, given, "seed", 0, int)
    return RunPlan(file, start, _tasks(path, given, instead), seed or own, table)


def tables(path: Path, given: Mapping[str, Any]) -> RunFile:
    """The tables of a file's content. UsageError names the table and the key."""
    known = ("loop", *REFUSED)
    for name in given:
        if name in TABLES:
            raise UsageError(f"{path}: [{name}]: {TABLES[name]}")
        if name not in known and name not in TOP:
            raise UsageError(f"{path}: there is no {name!r}", hint=f"tables: {', '.join(known)}; {', '.join(TOP)}")
    read = partial(_table, path, given)
    jobs = next(option for option in options_of(Workers) if option.key == "jobs")
    rollout = read("rollout", RolloutOptions, RolloutOptions(number=SampleOptions(samples=SAMPLES)), extra=(jobs.key,))
    asked = _section(path, given, "rollout").get(jobs.key, SAMPLES)
    train = read("train", TrainOptions, TrainOptions(objective="grpo"))
    objective = next((name for name in OBJECTIVES if name == train.objective), None)
    if objective is None:
        message = f"{path}: [train] objective = {train.objective!r}"
        raise UsageError(message, hint=f"the loop learns from groups: {' or '.join(OBJECTIVES)}")
    minimised = replace(train.minimised, temperature=rollout.sampling.temperature)
    base = PackOptions(objective=objective, groups_per_step=0)
    return RunFile(
        loop=read("loop", LoopTable, LoopTable()),
        rollout=rollout,
        jobs=check(jobs, asked, partial(_where, path, "rollout")),
        verify=read("verify", VerifyOptions, VerifyOptions()),
        pack_trie=read("pack-trie", PackOptions, base),
        train=replace(train, minimised=minimised),
    )


def _table(path: Path, given: Mapping[str, Any], name: str, kind: type[T], base: T, extra: tuple[str, ...] = ()) -> T:
    values = {key: value for key, value in _section(path, given, name).items() if key not in extra}
    for key in values:
        if reason := REFUSED.get(name, {}).get(key):
            raise UsageError(f"{path}: [{name}] {key}: {reason}")
    made = build(kind, values, partial(_where, path, name), base)
    paths = {one.key for one in options_of(kind) if without_none(one.kind) is Path} & values.keys()
    return build(kind, values | {key: path.parent / values[key] for key in paths}, base=base) if paths else made


def _where(path: Path, table: str, key: str) -> str:
    return f"{path}: [{table}] {key}"


def _section(path: Path, given: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = given.get(name, {})
    if not isinstance(section, dict):
        raise UsageError(f"{path}: {name} is a table: [{name}]")
    return section


def _value(path: Path, given: Mapping[str, Any], key: str, missing: Any, kind: type) -> Any:
    value = given.get(key, missing)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UsageError(f"{path}: {key} = {value!r} is no {kind.__name__}")
    return value


def _path(path: Path, given: Mapping[str, Any], key: str) -> Path | None:
    text = _value(path, given, key, "", str)
    return path.parent / text if text else None


def _tasks(path: Path, given: Mapping[str, Any], instead: LoopOptions) -> list[Task]:
    named = _value(path, given, "tasks", [], list)
    if not all(isinstance(name, str) for name in named):
        raise UsageError(f"{path}: tasks = {named!r} is no list of files")
    sources: list[str | Path] = [*instead.tasks] or [path.parent / name for name in named]
    if not sources and sys.stdin.isatty():
        raise UsageError(f"{path}: no tasks", hint="tasks = [FILE], --tasks FILE, or a pipe")
    lines = read_records(sources or ["-"], (Task,))
    loaded = [line.record for line in lines if isinstance(line.record, Task)]
    if not loaded:
        raise InputError("no tasks", hint=f"{path}: tasks = {named}, or --tasks FILE")
    return loaded
