"""Scaffolds: the agents that drive a model inside a box.

A scaffold is a table row and at most one small file: what to mount, what to start, how to configure it and how to read
what it left behind. It knows the gateway by a socket, a key and a model name, nothing else. `oracle` and `nop` are
controls: the same `bash-loop`, answered by a script instead of a model (`katcore/engine/scripted.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from katcore.records import Exit, Outcome


@dataclass(frozen=True)
class Job:
    """What one run of an agent is told. `python`, `folder`, `socket` and `workdir` are paths in the box."""

    problem_statement: str
    key: str
    model: str
    python: str
    folder: str
    socket: str
    workdir: str
    max_turns: int = 50
    command_timeout_s: float = 120.0
    output_chars: int = 6000


@dataclass(frozen=True)
class Launch:
    """How to start the agent in the box: one process, its environment on top of the box's, its standard input."""

    argv: list[str]
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)


class Scaffold(Protocol):
    """One kind of agent."""

    version: str

    def files(self) -> Mapping[str, Path]:
        """File name under the box's scaffold folder -> file of this machine, to be mounted read-only."""

    def launch(self, job: Job) -> Launch:
        """The process that works on the job."""

    def outcome(self, result: str) -> Outcome:
        """What the text of a tool result says about its tool call."""

    def exit(self, code: int, stdout: bytes, stderr: bytes) -> Exit:
        """Why the agent's process ended, as far as the agent knows."""


@dataclass(frozen=True)
class Row:
    """A scaffold by name. `script` answers in place of the engine (a control), empty for all others."""

    target: str
    script: str = ""


SCAFFOLDS = {
    "bash-loop": Row("katcore.scaffold.bash_loop:BashLoop"),
    "oracle": Row("katcore.scaffold.bash_loop:BashLoop", script="oracle"),
    "nop": Row("katcore.scaffold.bash_loop:BashLoop", script="nop"),
}
"""Name -> what it is."""


def row(name: str) -> Row:
    """The table row of that name."""
    from katcore.errors import UsageError

    if name not in SCAFFOLDS:
        raise UsageError(f"unknown scaffold {name!r}", hint=f"one of: {', '.join(SCAFFOLDS)}")
    return SCAFFOLDS[name]


def scaffold(name: str) -> Scaffold:
    """The scaffold of that name."""
    from importlib import import_module

    module, _, kind = row(name).target.partition(":")
    made: Scaffold = getattr(import_module(module), kind)()
    return made
