"""The logs that agents leave on a developer's disk, one agent a module, as trajectories of text.

A module finds sessions among files and folders (`find`), and reads one (`read`): each call of the model with the
messages that it was shown and its answer, in order. `tree` makes nodes and branches of them, `redaction` takes out what
is a person's. Logs hold no tokens; what the model was shown and the log does not say is said in `lost`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from katcore.errors import InputError, RecordError
from katcore.records import Boundary, Json
from katcore.trajectory.formats.kept import seconds_of


@dataclass(frozen=True)
class SessionFiles:
    """Where one session lies: its own log first, then those of its sub-agents. `id` is the session's own name."""

    id: str
    paths: tuple[Path, ...]


@dataclass
class ModelCall:
    """One call: what the model was shown, in the OpenAI form, and its answer.

    `agent` names the sub-agent that made it, "" the agent itself. `boundary`: why the messages may part from those of
    the call before.
    """

    messages: list[Json]
    answer: Json
    tools: list[Json] = field(default_factory=list)
    agent: str = ""
    boundary: Boundary = "none"
    started_at: str | None = None
    usage: dict[str, int] = field(default_factory=dict)
    model: str = ""
    finish_reason: str = ""


@dataclass
class Session:
    """What one session's logs say. `folders`: where it worked; `cut`: logs whose last line was broken off."""

    version: str = ""
    model: str = ""
    folders: list[str] = field(default_factory=list)
    calls: list[ModelCall] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)
    cut: list[BrokenLine] = field(default_factory=list)

    def in_order(self) -> Session:
        """The same with its calls in the order of their time; those without one keep their place at the start."""
        self.calls.sort(key=lambda call: seconds_of(call.started_at) if call.started_at else 0.0)
        return self


@dataclass(frozen=True)
class SessionFormat:
    """One agent's logs. `dialect`: the API that it speaks."""

    find: Callable[[Sequence[Path]], Iterable[SessionFiles]]
    read: Callable[[SessionFiles], Session]
    dialect: str


class BrokenLine(RecordError):
    """A line of a log that cannot be read."""

    def __init__(self, path: Path, line: int, raw: bytes, why: str) -> None:
        super().__init__("convert", f"{path}: line {line}: {why}")
        self.path, self.line, self.raw = path, line, raw


def files_of(paths: Iterable[Path], pattern: str) -> Iterator[Path]:
    """The files among these paths, and in the folders among them those with such a name."""
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: No such file or directory")
        yield from sorted(path.rglob(pattern)) if path.is_dir() else [path]


def tool_of(name: object, description: object, parameters: object) -> Json:
    """A tool in the OpenAI form."""
    described = {"description": description} if description else {}
    return {"type": "function", "function": {"name": str(name), **described, "parameters": parameters or {}}}
