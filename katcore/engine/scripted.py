"""Scripts: assistant messages handed out call by call in place of an engine.

`scripted:FILE` reads JSON Lines `{"task": id or "*", "sample": n?, "lineage": name?, "messages": [assistant message,
…]}`; the most specific line wins. A line with a `lineage` (`main`, `subagent`, `title`, `compaction`: the kind, without
a number) answers the calls of such branches alone, each branch from its first message on; one without counts all calls.
An agent that asks for a title beside its work then does not use up what was meant for the work. The controls: `oracle`
makes the gold patch's edits as `bash` calls, `nop` stops at once.
Deterministic: the answer depends on the task, the sample and the number of the call. Where the messages end, the answer
is a last word without a tool call.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from katcore.engine.oracle import attempt
from katcore.errors import InputError
from katcore.records import Json, Task

DONE: Json = {"role": "assistant", "content": "Done."}


class Script(Protocol):
    """A source of answers that are known beforehand, in place of an engine."""

    @property
    def name(self) -> str:
        """The model's name in the trajectory."""

    def messages(self, task: Task, sample: int, lineage: str = "") -> list[Json] | None:
        """The assistant messages of one attempt, in order; of one kind of branch, None where no line is."""


@dataclass
class Answers:
    """Hands out a script's messages for one attempt."""

    script: Script
    task: Task
    sample: int
    _given: dict[str, int] = field(default_factory=dict)

    def next(self, call: int, lineage: str, *, with_tools: bool) -> Json:
        """The message of the call with that number (from 0) on a branch of that name.

        What comes first and was shown no tools is a title, where the main branch is told to call tools: it is known for
        one only when the work begins.
        """
        own = self.script.messages(self.task, self.sample, lineage.partition("-")[0])
        if lineage == "main" and not with_tools and any(message.get("tool_calls") for message in own or []):
            lineage = "title"
            own = self.script.messages(self.task, self.sample, lineage)
        if own is None:
            messages, at = self.script.messages(self.task, self.sample) or [], call
        else:
            messages, at = own, self._given.get(lineage, 0)
            self._given[lineage] = at + 1
        return messages[at] if at < len(messages) else DONE


def bash(command: str) -> Json:
    """An assistant message that is one call of `bash`."""
    arguments = msgspec.json.encode({"command": command}).decode()
    call = {"type": "function", "function": {"name": "bash", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


class Oracle:
    """Answers with the known change, one call for each file; samples after the first look before they edit."""

    name = "oracle"

    def messages(self, task: Task, sample: int, lineage: str = "") -> list[Json] | None:
        if lineage:
            return None
        return [bash(command) for command in attempt(task.patch, sample, task.instance_id)]


class Nop:
    """Answers without any call, so that nothing is changed."""

    name = "nop"

    def messages(self, task: Task, sample: int, lineage: str = "") -> list[Json] | None:
        return None if lineage else []


class Line(msgspec.Struct):
    """One line of a script file."""

    messages: list[Json]
    task: str = "*"
    sample: int | None = None
    lineage: str = ""


@dataclass(frozen=True)
class FromFile:
    """Answers from a script file."""

    path: str

    @property
    def name(self) -> str:
        return f"scripted:{Path(self.path).name}"

    def messages(self, task: Task, sample: int, lineage: str = "") -> list[Json] | None:
        lines = _read(self.path)
        for key in ((task.instance_id, sample), (task.instance_id, None), ("*", sample), ("*", None)):
            if (*key, lineage) in lines:
                return lines[*key, lineage]
        return None


@functools.lru_cache(maxsize=8)
def _read(path: str) -> dict[tuple[str, int | None, str], list[Json]]:
    try:
        raw = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    lines: dict[tuple[str, int | None, str], list[Json]] = {}
    for number, text in enumerate(raw, 1):
        if not text.strip():
            continue
        try:
            line = msgspec.json.decode(text, type=Line)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise InputError(f"{path}:{number}: {error}") from error
        lines[line.task, line.sample, line.lineage] = [
            _message(message, f"{path}:{number}") for message in line.messages
        ]
    return lines


def _message(given: Json, where: str) -> Json:
    """An assistant message, its role filled in; InputError when it is none."""
    if given.get("role", "assistant") != "assistant":
        raise InputError(f"{where}: a script holds assistant messages only")
    if not isinstance(given.get("content"), str | None):
        raise InputError(f"{where}: content is not a string")
    for call in given.get("tool_calls") or []:
        if not isinstance(call, dict) or not isinstance(call.get("function", {}).get("name"), str):
            raise InputError(f"{where}: a tool call without a function's name")
    return {**given, "role": "assistant"}


def script(name: str) -> Script:
    """The script of that name: `oracle`, `nop` or `scripted:FILE`, whose file is read to see that it is well-formed."""
    if name == "oracle":
        return Oracle()
    if name == "nop":
        return Nop()
    made = FromFile(name.removeprefix("scripted:"))
    _read(made.path)
    return made
