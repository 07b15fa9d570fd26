"""Codex's logs: `~/.codex/sessions/YEAR/MONTH/DAY/rollout-TIME-THREAD.jsonl`, a file for each thread.

`response_item` lines are the items of the Responses API, what the model was shown and what it said, in order. A
`compacted` line replaces the history. A sub-agent is a thread of its own that names its parent. What is not there: the
tools, and the prompt that asks for a summary; the summary is therefore no call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from katcore.records import Boundary, Json
from katcore.trajectory.formats.kept import time_of
from katcore.trajectory.sessions import ModelCall, Session, SessionFiles, files_of
from katcore.trajectory.sessions.lines import first_line, read_lines

MADE = ("reasoning", "function_call", "custom_tool_call", "local_shell_call")
"""Items that the model makes; messages of an assistant are the others."""
LEFT_OUT = ("ghost_snapshot", "web_search_call", "image_generation_call", "compaction_trigger")


def find(paths: Sequence[Path]) -> Iterator[SessionFiles]:
    """One session for each thread that is nobody's sub-agent, with the threads below it."""
    logs = list(dict.fromkeys(files_of(paths, "rollout-*.jsonl")))
    heads = {log: _head(log) for log in logs}
    threads = {str(head.get("id")): log for log, head in heads.items()}
    below: dict[Path, list[Path]] = {}
    for log in logs:
        root, seen = log, {log}
        while (above := threads.get(_parent(heads[root]))) and above not in seen:
            root = above
            seen.add(root)
        below.setdefault(root, []).extend([] if root == log else [log])
    for root, others in below.items():
        yield SessionFiles(str(heads[root].get("id") or root.stem), (root, *others))


def read(files: SessionFiles) -> Session:
    """The calls of a session, in the order of their time."""
    session = Session()
    for number, path in enumerate(files.paths):
        _Thread(session, str(number) if number else "").read(read_lines(path, session.cut))
    return session.in_order()


def _head(log: Path) -> Json:
    payload = first_line(log).get("payload")
    return payload if isinstance(payload, dict) else {}


def _parent(head: Json) -> str:
    source: Any = head.get("source")
    for name in ("subagent", "thread_spawn"):
        source = source.get(name) if isinstance(source, dict) else None
    told = source.get("parent_thread_id") if isinstance(source, dict) else None
    return str(head.get("parent_thread_id") or told or "")


class _Thread:
    """One log, read line by line."""

    def __init__(self, session: Session, agent: str) -> None:
        self._session, self._agent = session, agent
        self._system: list[Json] = []
        self._history: list[Json] = []
        self._answer: list[Json] = []
        self._time: str | None = None
        self._turns: list[int] = []  # how long the history was when each turn began
        self._boundary: Boundary = "none"
        self._mode, self._model = "", ""
        self._last: ModelCall | None = None
        self._unknown = False  # whether what the model is shown is

    def read(self, lines: list[Json]) -> None:
        """Add the calls of this log to the session."""
        for line in lines:
            payload = line.get("payload")
            if not isinstance(payload, dict):
                payload = {}
            kind = line.get("type")
            if kind == "response_item":
                summary = (line.get("metadata") or {}).get("compaction_output")
                self._item(payload, line.get("timestamp"), summary=bool(summary))
            elif kind == "compacted":
                self._compacted(payload)
            elif kind == "session_meta":
                self._meta(payload)
            elif kind == "turn_context":
                self._context(payload)
            elif kind == "token_usage_record":
                self._ended()
                self._count(payload.get("usage"))
            elif kind == "event_msg":
                self._event(payload)
        self._ended()
        self._session.lost["system_prompts"] += not self._system

    def _meta(self, payload: Json) -> None:
        session, given = self._session, payload.get("base_instructions") or payload.get("instructions")
        session.version = session.version or str(payload.get("cli_version") or "")
        session.folders.append(str(payload.get("cwd") or ""))
        text = given.get("text") if isinstance(given, dict) else given
        if not self._history and not self._system and isinstance(text, str) and text:
            self._system = [{"role": "system", "content": text}]

    def _context(self, payload: Json) -> None:
        self._ended()
        self._model = str(payload.get("model") or self._model)
        self._session.model = self._session.model or self._model
        given = payload.get("collaboration_mode")
        mode = str(given.get("mode") or "") if isinstance(given, dict) else ""
        if self._mode and mode and mode != self._mode and self._boundary == "none":
            self._boundary = "mode"
        self._mode = mode or self._mode

    def _event(self, payload: Json) -> None:
        kind = payload.get("type")
        if kind in ("task_started", "turn_started"):
            self._ended()
            self._turns.append(len(self._history))
        elif kind == "thread_rolled_back":
            self._ended()
            back = payload.get("num_turns")
            if isinstance(back, int) and 0 < back <= len(self._turns):
                del self._history[self._turns[-back] :]
                del self._turns[-back:]
            else:  # to before a compaction: what is there again is not logged
                self._unknown = True
        elif kind == "token_count":
            info = payload.get("info")
            self._ended()
            self._count(info.get("last_token_usage") if isinstance(info, dict) else None)

    def _compacted(self, payload: Json) -> None:
        self._ended()
        items = payload.get("replacement_history")
        self._history = []
        if isinstance(items, list):
            for item in items:
                self._history += _shown(item) if isinstance(item, dict) else []
        else:
            self._history = [{"role": "user", "content": str(payload.get("message") or "")}]
        self._turns, self._boundary, self._unknown = [], "compaction", False

    def _item(self, item: Json, time: Any, *, summary: bool) -> None:
        if summary:
            self._ended()
            self._session.lost["summaries"] += 1
        elif item.get("type") in MADE or item.get("role") == "assistant":
            self._time = self._time or time_of(time)
            self._answer.append(item)
        elif item.get("type") not in LEFT_OUT:
            self._ended()
            self._history += _shown(item)

    def _ended(self) -> None:
        """The model's answer is whole: what follows comes from elsewhere."""
        if not self._answer:
            return
        answer = _said(self._answer)
        self._last = ModelCall(
            messages=[*self._system, *self._history],
            answer=answer,
            agent=self._agent,
            boundary=self._boundary,
            started_at=self._time,
            model=self._model,
            finish_reason="tool_calls" if answer.get("tool_calls") else "stop",
        )
        if self._unknown:
            self._session.lost["calls"] += 1
        else:
            self._session.calls.append(self._last)
        self._history.append(answer)
        self._answer, self._time, self._boundary = [], None, "none"

    def _count(self, given: Any) -> None:
        if self._last is None or self._last.usage or not isinstance(given, dict):
            return
        names = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}
        names["cached_tokens"] = "cached_input_tokens"
        found = {ours: given[theirs] for ours, theirs in names.items() if isinstance(given.get(theirs), int)}
        self._last.usage = found if any(found.values()) else {}


def _said(items: list[Json]) -> Json:
    """The items of one answer as a message."""
    text, thinking, calls = "", "", []
    for item in items:
        if item.get("type") == "reasoning":
            parts = item.get("content") or item.get("summary") or []
            thinking += "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))
        elif item.get("role") == "assistant":
            text += _text(item.get("content"))
        else:
            calls.append(_call(item))
    message: Json = {"role": "assistant", "content": text if text or not calls else None}
    message |= {"reasoning_content": thinking} if thinking else {}
    return message | ({"tool_calls": calls} if calls else {})


def _call(item: Json) -> Json:
    name, given = str(item.get("name") or "local_shell"), item.get("arguments")
    if item.get("type") == "custom_tool_call":
        given = json.dumps({"input": item.get("input") or ""}, ensure_ascii=False)
    elif item.get("type") == "local_shell_call":
        given = json.dumps(item.get("action") or {}, ensure_ascii=False)
    function = {"name": name, "arguments": str(given or "{}")}
    return {"id": str(item.get("call_id") or item.get("id") or ""), "type": "function", "function": function}


def _shown(item: Json) -> list[Json]:
    """What an item that the model did not make shows it; one of an answer that a compaction kept is that answer."""
    kind = str(item.get("type") or "message")
    if kind in MADE or item.get("role") == "assistant":
        return [_said([item])]
    if kind.endswith("_output"):
        output = item.get("output")
        content = output.get("content") if isinstance(output, dict) else output
        return [{"role": "tool", "tool_call_id": str(item.get("call_id") or ""), "content": _text(content)}]
    if kind == "message":
        return [{"role": str(item.get("role") or "user"), "content": _text(item.get("content"))}]
    return [] if kind in LEFT_OUT else [{"role": "user", "content": f"[{kind}]"}]


def _text(content: Any) -> str:
    if not isinstance(content, list):
        return content if isinstance(content, str) else "" if content is None else json.dumps(content)
    parts = [part for part in content if isinstance(part, dict)]
    return "".join(str(part["text"]) if "text" in part else f"[{part.get('type') or 'unknown'}]" for part in parts)
