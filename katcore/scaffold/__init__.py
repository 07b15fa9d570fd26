"""Scaffolds: the agents that drive a model inside a box.

What to mount, what to start, how to configure it and how to read what it left behind. An agent knows the gateway by a
socket, a key and a model name, nothing else. `bash-loop` is our white-box one; `oracle` and `nop` are controls: the
same, answered by a script instead of a model (`katcore/engine/scripted.py`). Everybody else's agents are rows of a
table (`table.py`, `scaffolds.toml`), installed once (`install.py`), started by one file for all (`command_agent.py`).
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
    """What an agent is told for one run. `python`, `folder`, `socket`, `workdir` and `home` are paths in the box.

    `context` and `completion` are the tokens of one call: its prompt and answer together, and its answer.
    """

    problem_statement: str
    key: str
    model: str
    python: str
    folder: str
    socket: str
    workdir: str
    max_turns: int
    command_timeout_s: float
    output_chars: int
    context: int
    completion: int
    home: str = "/tmp/home"


@dataclass(frozen=True)
class Launch:
    """How to start the agent in the box: one process, its environment on top of the box's, its standard input."""

    argv: list[str]
    stdin: bytes = b""
    env: Mapping[str, str] = field(default_factory=dict)


class Scaffold(Protocol):
    """One kind of agent: its files, how it is started, and how its results and its end are read."""

    version: str
    ignore: tuple[str, ...]
    """The agent's own files in a repository, as lines of a .gitignore: no part of what it changed."""

    def files(self) -> Mapping[str, Path]:
        """File name under the box's scaffold folder -> file of this machine, to be mounted read-only."""

    def launch(self, job: Job) -> Launch:
        """The process that works on the job."""

    def outcome(self, result: str) -> Outcome | None:
        """What the text of a tool result says about its tool call; None where it does not tell."""

    def exit(self, code: int, stdout: bytes, stderr: bytes) -> Exit:
        """Why the agent's process ended, as far as the agent knows."""


@dataclass(frozen=True)
class OwnScaffold:
    """A scaffold of ours by name. `script` answers in place of the engine (a control), empty for all others."""

    target: str
    script: str = ""


SCAFFOLDS = {
    "bash-loop": OwnScaffold("katcore.scaffold.bash_loop:BashLoop"),
    "oracle": OwnScaffold("katcore.scaffold.bash_loop:BashLoop", script="oracle"),
    "nop": OwnScaffold("katcore.scaffold.bash_loop:BashLoop", script="nop"),
}
"""KAT's own scaffolds by name."""


def names(table: str = "") -> list[str]:
    """Every scaffold's name; `table` is a JSON object of a user's own rows."""
    import json
    import tomllib

    # not through table.py: completion must be fast
    shipped = tomllib.loads((Path(__file__).parent / "scaffolds.toml").read_text("utf-8"))
    return list(dict.fromkeys([*SCAFFOLDS, *shipped, *json.loads(table or "{}")]))


def check(name: str, table: str = "") -> None:
    """Raise UsageError when there is no scaffold of that name."""
    from katcore.errors import UsageError

    if name not in SCAFFOLDS and name not in (known := names(table)):
        raise UsageError(f"unknown scaffold {name!r}", hint=f"one of: {', '.join(known)}")


def script_of(name: str) -> str:
    """The script that answers in place of the engine for a control scaffold; empty for all others."""
    return SCAFFOLDS[name].script if name in SCAFFOLDS else ""


def scaffold(name: str, table: str = "") -> Scaffold:
    """The scaffold of that name."""
    from importlib import import_module

    check(name, table)
    if name not in SCAFFOLDS:
        from katcore.scaffold.command_agent import CommandAgent
        from katcore.scaffold.table import rows

        return CommandAgent(name, rows(table)[name])
    module, _, kind = SCAFFOLDS[name].target.partition(":")
    made: Scaffold = getattr(import_module(module), kind)()
    return made
