"""What an agent did, in a form in which two agents' doings can be compared.

In: the messages of a trajectory, or of a reference solution in a task. Out: steps, one an assistant's message, each
with its tool calls as `Action`s: what kind of tool, which words in the arguments, which files. Scaffolds name their
tools differently, and most work goes through a shell: names and command lines are brought to a few kinds. No results
of tools are looked at.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from katcore.errors import InputError
from katcore.records import Json, Node, Task, Trajectory
from katcore.references.command_line import IDLE, SHELLS, read_line, words_of


@dataclass(frozen=True)
class Action:
    """One tool call. `tool`: read, list, search, write, run, or the tool's own name; `words`: how often each occurs."""

    tool: str
    words: Counter[str]
    files: frozenset[str]


@dataclass(frozen=True)
class Step:
    """One message of the assistant (OpenAI form) and the actions in it; none where it only says something."""

    message: Json
    actions: tuple[Action, ...]


Steps = tuple[Step, ...]
"""The steps of one agent, from first to last."""

TOOLS = {
    "read": "read readfile view viewfile open openfile cat notebookread",
    "list": "ls list listdir listdirectory listfiles glob findfiles tree",
    "search": "grep search searchfiles searchcode ripgrep codebasesearch find",
    "write": "write writefile writetofile create createfile edit editfile multiedit replace replaceinfile strreplace "
    "applypatch applydiff patch insert notebookedit strreplaceeditor strreplacebasededittool",
    "run": "bash shell sh terminal exec execute executecommand runcommand runterminalcmd command localshell "
    "execcommand",
}
KINDS = {name: kind for kind, names in TOOLS.items() for name in names.split()}
VOLATILE = frozenset({"timeout", "timeout_ms", "description", "explanation", "id", "session_id", "run_in_background"})
PATH_KEYS = frozenset(
    {"path", "file_path", "filepath", "file", "filename", "target_file", "notebook_path", "relative_path", "dir_path"}
)
NOWHERE = frozenset({"/dev/null", "", "."})
COMMAND_KEYS = ("command", "cmd", "script")
_PATCHED = re.compile(r"^(?:\*\*\* (?:Add|Update|Delete) File: |\+\+\+ (?:b/)?|--- (?:a/)?)(\S+)", re.MULTILINE)
REFUSED = frozenset({"unknown_tool", "invalid_arguments", "denied"})
"""Outcomes of calls that did nothing, since nobody carried them out."""


def steps_of(trajectory: Trajectory, workdir: str = "/testbed") -> Steps:
    """The agent's own steps in the order in which they came, whatever branch they are on.

    An assistant's message that only a prompt contained (a rewritten history, an example) is none of its steps.
    """
    own = ((node, node.message) for node in trajectory.nodes if _own(node) and node.message)
    return tuple(step_of(message, workdir, _refused(node, message)) for node, message in own)


def _refused(node: Node, message: Json) -> frozenset[int]:
    """The places of a message's calls that nobody carried out."""
    calls = _calls(message)
    by_id = {call.id: call for call in node.tool_calls if call.id}
    found = set()
    for place, call in enumerate(calls):
        known = by_id.get(str(call.get("id") or ""))
        if known is None and len(node.tool_calls) == len(calls):
            known = node.tool_calls[place]
        if known is not None and known.outcome in REFUSED:
            found.add(place)
    return frozenset(found)


def _own(node: Node) -> bool:
    drawn = bool(node.sampled) or node.token_ids is None or node.origin != "engine"
    return node.role == "assistant" and drawn


def steps_of_messages(messages: Iterable[Json], workdir: str = "/testbed") -> Steps:
    """One step for each assistant's message of a conversation."""
    return tuple(step_of(message, workdir) for message in messages if message.get("role") == "assistant")


def step_of(message: Json, workdir: str = "/testbed", refused: frozenset[int] = frozenset()) -> Step:
    """One assistant's message as a step; the calls at the `refused` places did nothing."""
    found = []
    for place, call in enumerate(_calls(message)):
        function = call.get("function")
        given = function if isinstance(function, dict) else {}
        done = action_of(str(given.get("name") or ""), given.get("arguments"), workdir)
        found.append(Action(IDLE, Counter(), frozenset()) if place in refused else done)
    return Step(message, tuple(found))


def _calls(message: Json) -> list[Json]:
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def references_of(task: Task) -> tuple[Steps, ...]:
    """The task's ground truths, each a kat.trajectory (`nodes`) or a conversation (`messages`).

    InputError for a reference of another form, or one without an action: everything would be equally far from it.
    """
    paths = []
    for value in task.verification.references or []:
        if "nodes" in value:
            try:
                path = steps_of(msgspec.convert(value, Trajectory), task.environment.workdir)
            except msgspec.ValidationError as error:
                raise InputError(f"task {task.instance_id}: a reference is no kat.trajectory: {error}") from error
        else:
            path = steps_of_messages(value.get("messages") or [], task.environment.workdir)
        if not any(step.actions for step in path):
            raise InputError(f"task {task.instance_id}: a reference has no tool call in `nodes` or `messages`")
        paths.append(path)
    return tuple(paths)


def action_of(name: str, arguments: Any, workdir: str = "/testbed") -> Action:
    """A tool call as a normalised action; arguments that are no JSON object count by their words."""
    key = re.sub(r"[^a-z0-9]", "", name.lower())
    kind = KINDS.get(key, key)
    try:
        given = json.loads(arguments) if isinstance(arguments, str) else arguments
    except (ValueError, RecursionError):
        given = None
    if not isinstance(given, dict):
        return Action(kind, words_of(_relative(str(arguments or ""), workdir)), frozenset())
    given = {key: value for key, value in given.items() if key not in VOLATILE}
    command = next((given[key] for key in COMMAND_KEYS if key in given), None) if kind == "run" else None
    if isinstance(command, list):
        command = _of_vector([str(word) for word in command])
    if isinstance(command, str):
        line = read_line(_relative(command, workdir))
        files = {*line.files, *_PATCHED.findall(line.text)}
        return Action(line.kind, words_of(line.text), frozenset(files - NOWHERE))
    texts = [_relative(text, workdir) for text in _texts(command if command is not None else given)]
    files = {_relative(str(given[key]), workdir) for key in given if key in PATH_KEYS}
    files |= {path for text in texts for path in _PATCHED.findall(text)}
    if kind == "write" and given.get("command") == "view":  # one tool for both, as in Anthropic's text editor
        kind = "read"
    return Action(kind, words_of(" ".join(texts)), frozenset(files - NOWHERE))


def _of_vector(command: list[str]) -> str:
    """The command line of an argument vector, often ["bash", "-lc", LINE]."""
    if len(command) == 3 and command[0].rsplit("/", 1)[-1] in SHELLS and re.fullmatch(r"-\w*c", command[1]):
        return command[2]
    return shlex.join(command)


def _texts(value: Any) -> Iterator[str]:
    """Every value of nested arguments as text, in an order that does not depend on how they were written."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            waiting += [value[key] for key in sorted(value, reverse=True)]
        elif isinstance(value, list):
            waiting += reversed(value)
        elif value is not None:
            yield str(value)


def _relative(text: str, workdir: str) -> str:
    """The text with paths relative to the repository: /testbed/a.py, ./a.py and a.py are one file."""
    text = re.sub(rf"(?<![\w/]){re.escape(workdir)}(?:/|(?![\w/-]))", "", text)
    return re.sub(r"(?<![\w./])\./", "", text)
