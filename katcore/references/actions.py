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
from itertools import pairwise
from typing import Any

import msgspec

from katcore.errors import InputError
from katcore.records import Json, Node, Task, Trajectory


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
PROGRAMS = {
    "read": "cat head tail less more nl bat sed awk wc diff",
    "list": "ls find tree pwd stat file fd",
    "search": "grep egrep fgrep rg ag ack",
    "write": "tee patch mv cp rm mkdir touch apply_patch ln chmod truncate",
    "": "cd echo true export set source . : xargs sort uniq printf sleep",
}
COMMANDS = {name: kind for kind, names in PROGRAMS.items() for name in names.split()}
EXPRESSION_FIRST = frozenset({"sed", "awk", "grep", "egrep", "fgrep", "rg", "ag", "ack"})
STRONGEST = ("write", "run", "search", "list", "read")
"""Kinds of tool, strongest first; a command line counts as the strongest kind among its commands."""
VOLATILE = frozenset({"timeout", "timeout_ms", "description", "explanation", "id", "session_id", "run_in_background"})
PATH_KEYS = frozenset(
    {"path", "file_path", "filepath", "file", "filename", "target_file", "notebook_path", "relative_path", "dir_path"}
)
REDIRECTIONS = frozenset({">", ">>", "&>", "&>>"})
COMMAND_KEYS = ("command", "cmd", "script")
_WORD = re.compile(r"\w+|[^\w\s]")
_PATCHED = re.compile(r"^(?:\*\*\* (?:Add|Update|Delete) File: |\+\+\+ (?:b/)?|--- (?:a/)?)(\S+)", re.MULTILINE)
_PATHLIKE = re.compile(r"^(?!-)(?!\w+://)(?=.*/)[\w.@+~-]*(?:/[\w.@+~-]+)*/?$|^[\w-][\w.-]*\.[A-Za-z]\w{0,7}$")


def steps_of(trajectory: Trajectory, workdir: str = "/testbed") -> Steps:
    """The agent's own steps in the order in which they came, whatever branch they are on.

    An assistant's message that only a prompt contained (a rewritten history, an example) is none of its steps.
    """
    return steps_of_messages((node.message for node in trajectory.nodes if _own(node) and node.message), workdir)


def _own(node: Node) -> bool:
    drawn = bool(node.sampled) or node.token_ids is None or node.origin != "engine"
    return node.role == "assistant" and drawn


def steps_of_messages(messages: Iterable[Json], workdir: str = "/testbed") -> Steps:
    """One step for each assistant's message of a conversation."""
    return tuple(step_of(message, workdir) for message in messages if message.get("role") == "assistant")


def step_of(message: Json, workdir: str = "/testbed") -> Step:
    """One assistant's message as a step."""
    calls = [call.get("function") or {} for call in message.get("tool_calls") or [] if isinstance(call, dict)]
    return Step(message, tuple(action_of(str(f.get("name") or ""), f.get("arguments"), workdir) for f in calls))


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
    except ValueError:
        given = None
    if not isinstance(given, dict):
        return Action(kind, _words(_relative(str(arguments or ""), workdir)), frozenset())
    given = {key: value for key, value in given.items() if key not in VOLATILE}
    command = next((given[key] for key in COMMAND_KEYS if key in given), None) if kind == "run" else None
    if isinstance(command, list):  # an argument vector, often ["bash", "-lc", LINE]
        command = str(command[-1]) if len(command) == 3 and "c" in str(command[1]) else shlex.join(map(str, command))
    texts = [_relative(text, workdir) for text in _texts(command if command is not None else given)]
    files = {_relative(str(given[key]), workdir) for key in given if key in PATH_KEYS}
    files |= {path for text in texts for path in _PATCHED.findall(text)}
    if isinstance(command, str):
        kind, named = _command_line(texts[0])
        files |= named
    if kind == "write" and given.get("command") == "view":  # one tool for both, as in Anthropic's text editor
        kind = "read"
    return Action(kind, _words(" ".join(texts)), frozenset(files - {"/dev/null", "", "."}))


def _texts(value: Any) -> Iterator[str]:
    """Every value of nested arguments as text, in an order that does not depend on how they were written."""
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _texts(value[key])
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif value is not None:
        yield str(value)


def _relative(text: str, workdir: str) -> str:
    """The text with paths relative to the repository: /testbed/a.py, ./a.py and a.py are one file."""
    text = re.sub(rf"(?<![\w/]){re.escape(workdir)}(?:/|(?![\w/-]))", "", text)
    return re.sub(r"(?<![\w./])\./", "", text)


def _words(text: str) -> Counter[str]:
    return Counter(_WORD.findall(text))


def _command_line(line: str) -> tuple[str, set[str]]:
    """The kind of a shell's command line and the files that it names; a here-document is data, not command."""
    head = line.split("\n", 1)[0] if "<<" in line else line
    lexer = shlex.shlex(head.replace("\n", " ; "), posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # a quote that nobody closed
        words = head.split()
    kinds, files = set(), set[str]()
    for part in _parts(words):
        kinds.add(_program_kind(part))
        files |= {word.rstrip("/") for word in _operands(part) if _PATHLIKE.match(word)}
    if any(mark in REDIRECTIONS and not target.startswith("/dev/") for mark, target in pairwise(words)):
        kinds.add("write")
    return next((kind for kind in STRONGEST if kind in kinds), "run"), files


def _parts(words: list[str]) -> Iterator[list[str]]:
    """The simple commands of a line."""
    part: list[str] = []
    for word in [*words, ";"]:
        if word and set(word) <= set("();|&"):
            if part:
                yield part
            part = []
        elif part or not re.match(r"^\w+=", word):  # not a variable set ahead of the program
            part.append(word)


def _operands(part: list[str]) -> list[str]:
    """The words of a command that may be files: those after the program, but the expression of sed or grep."""
    words = [word for word in part[1:] if not word.startswith("-")]
    return words[1:] if part[0].rsplit("/", 1)[-1] in EXPRESSION_FIRST else words


def _program_kind(part: list[str]) -> str:
    program = part[0].rsplit("/", 1)[-1]
    if program == "sed" and any(word.startswith(("-i", "--in-place")) for word in part):
        return "write"
    if program == "git" and len(part) > 1:
        return {"grep": "search", "apply": "write", "checkout": "write", "diff": "read", "show": "read"}.get(
            part[1], "run"
        )
    return COMMANDS.get(program, "run")
