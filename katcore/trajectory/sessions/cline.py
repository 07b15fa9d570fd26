"""Cline's logs: of its extension a folder for each task, of its command line a folder for each session.

Extension: `api_conversation_history.json` has all messages in Anthropic's form; `ui_messages.json` says from when on
which of them were left out of the prompts (`conversationHistoryDeletedRange`), `task_metadata.json` the model. Command
line: `ID.messages.json` with the system prompt, `agent_*.messages.json` of its sub-agents, and `ID.compaction.json`,
what stands for the first messages since the last compaction. What is not there: tools; the extension's system prompts;
what earlier compactions of the command line had put into the prompts, so that the calls behind them are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from katcore.errors import InputError, RecordError
from katcore.records import Boundary, Json
from katcore.trajectory.formats.kept import time_of
from katcore.trajectory.sessions import ModelCall, Session, SessionFiles, files_of
from katcore.trajectory.sessions.blocks import answer_of, blocks_of, turn_of, usage_of
from katcore.trajectory.sessions.lines import read_document

HISTORY = "api_conversation_history.json"
MESSAGES = ".messages.json"
AGENT = "agent_"
LEFT = 0.7
"""A prompt with fewer tokens than this share of the last one's is a shortened one."""
_INPUT = re.compile(r"\A<user_input mode=\"\w+\">(.*)</user_input>\Z", re.DOTALL)
"""What the command line puts around a user's words in its log, and not in its prompts."""
_MODE = re.compile(r"<user_input mode=\"(\w+)\"|# Current Mode\n(\w+) MODE")


def find(paths: Sequence[Path]) -> Iterator[SessionFiles]:
    """One session for each task of the extension, and for each of the command line with its sub-agents."""
    logs = list(dict.fromkeys(files_of(paths, "*.json")))
    for log in logs:
        if log.name == HISTORY:
            yield SessionFiles(log.parent.name or str(log), (log,))
        elif log.name.endswith(MESSAGES) and not log.name.startswith(AGENT):
            below = sorted(log.parent.glob(f"{AGENT}*{MESSAGES}"))
            yield SessionFiles(log.name.removesuffix(MESSAGES), (log, *below))
        elif log.name.endswith(MESSAGES) and not (log.parent / f"{log.parent.name}{MESSAGES}").exists():
            yield SessionFiles(log.name.removesuffix(MESSAGES), (log,))
        elif log in paths:
            raise InputError(f"{log}: neither {HISTORY} nor *{MESSAGES}")


def read(files: SessionFiles) -> Session:
    """The calls of a session, in the order of their time."""
    session = Session()
    if files.paths[0].name == HISTORY:
        _task(session, files.paths[0])
    else:
        for number, path in enumerate(files.paths):
            _conversation(session, path, str(number) if number else "")
    return session.in_order()


# ------------------------------------------------------------------ the command line


def _conversation(session: Session, path: Path, agent: str) -> None:
    given = _object(read_document(path))
    origin = _object(given.get("origin"))
    session.version = session.version or str(origin.get("version") or "")
    about = path.with_name(path.name.removesuffix(MESSAGES) + ".json")
    if about.exists():
        session.folders.append(str(_object(read_document(about)).get("cwd") or ""))
    system = given.get("system_prompt")
    if not system:
        session.lost["system_prompts"] += 1
    head = [{"role": "system", "content": str(system)}] if system else []
    messages = _list(given.get("messages"))
    instead, since = _compaction(path)
    calls = _Calls(session, agent, head)
    sizes = [_object(message.get("metrics")).get("inputTokens") for message in messages]
    cut = _unlogged(sizes[:since])
    for at, message in enumerate(messages):
        shown = messages[:at] if at < since or not instead else instead + messages[since:at]
        if message.get("role") == "assistant" and cut <= at < since:
            session.lost["calls"] += 1
        elif message.get("role") == "assistant":
            calls.add(shown, message, "compaction" if instead and at >= since else "none")


def _compaction(path: Path) -> tuple[list[Json], int]:
    """The messages that stand for the first ones, and how many those are."""
    file = path.with_name(path.name.removesuffix(MESSAGES) + ".compaction.json")
    given = _object(read_document(file)) if file.exists() else {}
    count = given.get("source_message_count")
    return (_list(given.get("messages")), count) if isinstance(count, int) else ([], 0)


def _unlogged(sizes: list[Any]) -> int:
    """The place of the first call whose prompt had been shortened in a way that is not logged; else past the end."""
    last = 0
    for at, size in enumerate(sizes):
        if isinstance(size, int) and size > 0:
            if size < LEFT * last:
                return at
            last = size
    return len(sizes)


# ------------------------------------------------------------------ the extension


def _task(session: Session, path: Path) -> None:
    session.lost["system_prompts"] += 1
    messages = _list(read_document(path))
    told = path.with_name("task_metadata.json")
    about = _object(read_document(told)) if told.exists() else {}
    models = _list(about.get("model_usage"))
    versions = _list(about.get("environment_history"))
    session.model = str(models[0].get("model_id") or "") if models else ""
    session.version = str(versions[0].get("cline_version") or "") if versions else ""
    ranges = _ranges(path.with_name("ui_messages.json"))
    calls = _Calls(session, "", [])
    for at, message in enumerate(messages):
        if message.get("role") != "assistant":
            continue
        out = max((each for each in ranges if each[0] < at), default=None)
        shown = messages[:at] if out is None else messages[: out[1]] + messages[min(out[2] + 1, at) : at]
        calls.add(shown, message, "compaction" if out else "none")


def _ranges(path: Path) -> list[tuple[int, int, int]]:
    """From which message on which others, first and last, were left out."""
    found = []
    for event in _list(read_document(path)) if path.exists() else []:
        at, out = event.get("conversationHistoryIndex"), event.get("conversationHistoryDeletedRange")
        if isinstance(at, int) and isinstance(out, list) and len(out) == 2 and all(isinstance(n, int) for n in out):
            found.append((at, out[0], out[1]))
    return found


# ------------------------------------------------------------------ both


class _Calls:
    """The calls of one conversation."""

    def __init__(self, session: Session, agent: str, head: list[Json]) -> None:
        self._session, self._agent, self._head = session, agent, head
        self._mode = ""
        self._made: dict[int, tuple[Json, list[Json]]] = {}  # by a logged message's identity

    def add(self, shown: list[Json], message: Json, boundary: Boundary) -> None:
        """Add a call: the messages that it was shown and its answer, as they are logged."""
        mode = _mode_of(shown)
        if boundary == "none" and self._mode and mode != self._mode:
            boundary = "mode"
        self._mode = mode
        info, metrics = _object(message.get("modelInfo")), _object(message.get("metrics"))
        model = str(info.get("id") or info.get("modelId") or self._session.model)
        self._session.model = self._session.model or model
        names = {"inputTokens": "input_tokens", "outputTokens": "output_tokens"}
        names["cacheReadTokens"] = "cache_read_input_tokens"
        (answer,) = self._read(message)
        stamp = message.get("ts")
        call = ModelCall(
            messages=[*self._head, *(each for one in shown for each in self._read(one))],
            answer=answer,
            agent=self._agent,
            boundary=boundary,
            started_at=time_of(stamp / 1000) if isinstance(stamp, int | float) else None,
            usage=usage_of({ours: metrics.get(theirs) for theirs, ours in names.items()}),
            model=model,
            finish_reason="tool_calls" if answer.get("tool_calls") else "stop",
        )
        self._session.calls.append(call)

    def _read(self, message: Json) -> list[Json]:
        if id(message) not in self._made:
            self._made[id(message)] = (message, _read(message))
        return self._made[id(message)][1]


def _read(message: Json) -> list[Json]:
    blocks = blocks_of(message.get("content"))
    if message.get("role") == "assistant":
        return [answer_of(blocks)]
    texts = ({**block, "text": _INPUT.sub(r"\1", block["text"])} if "text" in block else block for block in blocks)
    return turn_of(texts)


def _mode_of(shown: list[Json]) -> str:
    """The mode that the last of these messages tells that tells one."""
    for message in reversed(shown):
        for block in blocks_of(message.get("content")) if message.get("role") == "user" else ():
            if found := _MODE.search(str(block.get("text") or "")):
                return (found[1] or found[2]).lower()
    return ""


def _object(given: Any) -> Json:
    return given if isinstance(given, dict) else {}


def _list(given: Any) -> list[Json]:
    if given is None:
        return []
    if not isinstance(given, list) or any(not isinstance(each, dict) for each in given):
        raise RecordError("convert", "messages are no list of objects")
    return given
