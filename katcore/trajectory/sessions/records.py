"""Sessions as kat.trajectory: read, freed of what is a person's, and made into a tree.

In: an agent's name, files and folders. Out: a work item for each session, and counts: what was removed (`removed_…`)
and what the model had and the log does not tell (`lost_…`). A session that cannot be read is a dead letter with its
file and line; where only a log's last line is broken off, that line alone is one.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from katcore.errors import InputError, RecordError
from katcore.pool import Item
from katcore.records import Json, Scaffold, Trajectory, content_id, key_of
from katcore.scaffold.outcomes import rules_of
from katcore.scaffold.table import built_in
from katcore.trajectory.sessions import (
    BrokenLine,
    ModelCall,
    Session,
    SessionFiles,
    SessionFormat,
    claude_code,
    cline,
    codex,
)
from katcore.trajectory.sessions.redaction import Redaction
from katcore.trajectory.sessions.tree import grown

SESSIONS = {
    "claude-code": SessionFormat(claude_code.find, claude_code.read, "anthropic"),
    "cline": SessionFormat(cline.find, cline.read, "openai-chat"),
    "codex": SessionFormat(codex.find, codex.read, "openai-responses"),
}
"""The name that `--from` takes."""


def session_items(name: str, paths: Sequence[Path], count: Callable[[str, int], None]) -> Iterator[Item]:
    """One item a session, named by its trajectory as `--resume` needs."""
    if not paths:
        raise InputError(f"--from {name} reads files or folders", hint="name those that the agent left")
    found = 0
    for files in SESSIONS[name].find(paths):
        found += 1
        try:
            session = _read(SESSIONS[name], files)
            made, removed = record_of(name, files, session)
        except RecordError as error:
            yield _letter(files, error)
            continue
        for broken in session.cut:
            yield _letter(files, broken)
        for what, n in (+session.lost).items():
            count(f"lost_{what}", n)
        for what, n in removed.items():
            count(f"removed_{what}", n)
        yield Item(key_of(made), made, shard=made.task_id, source=str(files.paths[0]))
    if not found:
        raise InputError(f"no session of {name} in {', '.join(map(str, paths))}")


def record_of(name: str, files: SessionFiles, session: Session) -> tuple[Trajectory, Counter[str]]:
    """The trajectory of a session, and how much of a person's was removed. RecordError for one without an answer."""
    if not session.calls:
        raise RecordError("convert", f"{files.paths[0]}: no answer of a model in it")
    calls, removed = _redacted(session)
    nodes, made = grown(calls, SESSIONS[name].dialect, rules_of(built_in()[name].outcomes))
    identity = content_id(name, files.id)
    trajectory = Trajectory(
        id=identity,
        task_id=identity,
        group_id=identity,
        scaffold=Scaffold(name=name, version=session.version),
        model=session.model,
        nodes=nodes,
        calls=made,
        artifacts={"session": {"removed": dict(removed), "lost": dict(+session.lost)}},
    )
    return trajectory, removed


def _read(kind: SessionFormat, files: SessionFiles) -> Session:
    try:
        return kind.read(files)
    except (RecordError, InputError):
        raise
    except Exception as error:  # other people's logs may be anything: it is wrong with this one alone
        what = f"{error} is missing" if isinstance(error, KeyError) else repr(error)
        raise RecordError("convert", f"{files.paths[0]}: no log of this agent: {what}") from error


def _letter(files: SessionFiles, error: RecordError) -> Item:
    if isinstance(error, BrokenLine):
        where = f"session:{error.path}:{error.line}"
        text = json.dumps(error.raw.decode("utf-8", "replace")).encode()  # dead letters are JSON, which this is not
        return Item(where, error, raw=text, line=error.line, source=str(error.path))
    return Item(f"session:{files.paths[0]}", error, source=str(files.paths[0]))


def _redacted(session: Session) -> tuple[list[ModelCall], Counter[str]]:
    """The calls without what is a person's; a message that several calls were shown is changed once."""
    redaction = Redaction()
    shown = {id(each): each for call in session.calls for each in (*call.messages, call.answer)}
    redaction.learn(chain.from_iterable(map(_texts, shown.values())), own=session.folders)
    equal: dict[str, Json] = {}
    messages: dict[int, Json] = {}
    for identity, message in shown.items():
        key = json.dumps(message, sort_keys=True)
        if key not in equal:
            equal[key] = _message(message, redaction)
        messages[identity] = equal[key]
    offered = {id(call.tools): call.tools for call in session.calls}
    tools = {identity: redaction.value(each) for identity, each in offered.items()}
    calls = [
        replace(
            call,
            messages=[messages[id(each)] for each in call.messages],
            answer=messages[id(call.answer)],
            tools=tools[id(call.tools)],
        )
        for call in session.calls
    ]
    return calls, redaction.removed


def _message(message: Json, redaction: Redaction) -> Json:
    calls = message.get("tool_calls")
    made: Json = redaction.value({name: value for name, value in message.items() if name != "tool_calls"})
    if not calls:
        return made
    functions = [
        {**call["function"], "arguments": redaction.arguments(call["function"]["arguments"])} for call in calls
    ]
    return made | {"tool_calls": [{**call, "function": function} for call, function in zip(calls, functions)]}


def _texts(message: Json) -> Iterator[str]:
    yield str(message.get("content") or "")
    yield from (call["function"]["arguments"] for call in message.get("tool_calls") or [])
