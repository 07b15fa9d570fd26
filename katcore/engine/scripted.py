"""Scripts: assistant messages handed out call by call in place of an engine.

`scripted:FILE` reads JSON Lines `{"task": id or "*", "sample": n?, "messages": [assistant message, …]}`; the most
specific line wins. The controls: `oracle` makes the gold patch's edits as `bash` calls, `nop` stops at once.
Deterministic: the answer depends on the task, the sample and the number of the call. Where the messages end, the answer
is a last word without a tool call.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
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

    def messages(self, task: Task, sample: int) -> list[Json]:
        """The assistant messages of one attempt, in order."""


def answer(script: Script, task: Task, sample: int, call: int) -> Json:
    """The message of the call with that number (from 0)."""
    messages = script.messages(task, sample)
    return messages[call] if call < len(messages) else DONE


def bash(command: str) -> Json:
    """An assistant message that is one call of `bash`."""
    arguments = msgspec.json.encode({"command": command}).decode()
    call = {"type": "function", "function": {"name": "bash", "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


class Oracle:
    """Answers with the known change, one call for each file; samples after the first look before they edit."""

    name = "oracle"

    def messages(self, task: Task, sample: int) -> list[Json]:
        return [bash(command) for command in attempt(task.patch, sample, task.instance_id)]


class Nop:
    """Answers without any call, so that nothing is changed."""

    name = "nop"

    def messages(self, task: Task, sample: int) -> list[Json]:
        return []


class Line(msgspec.Struct):
    """One line of a script file."""

    messages: list[Json]
    task: str = "*"
    sample: int | None = None


@dataclass(frozen=True)
class FromFile:
    """Answers from a script file."""

    path: str

    @property
    def name(self) -> str:
        return f"scripted:{Path(self.path).name}"

    def messages(self, task: Task, sample: int) -> list[Json]:
        lines = _read(self.path)
        for key in ((task.instance_id, sample), (task.instance_id, None), ("*", sample), ("*", None)):
            if key in lines:
                return lines[key]
        return []


@functools.lru_cache(maxsize=8)
def _read(path: str) -> dict[tuple[str, int | None], list[Json]]:
    try:
        raw = Path(path).read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    lines: dict[tuple[str, int | None], list[Json]] = {}
    for number, text in enumerate(raw, 1):
        if not text.strip():
            continue
        try:
            line = msgspec.json.decode(text, type=Line)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise InputError(f"{path}:{number}: {error}") from error
        lines[line.task, line.sample] = [_message(message, f"{path}:{number}") for message in line.messages]
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
