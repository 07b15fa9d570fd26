"""Small logs in the form that Claude Code, Codex and Cline leave on a disk, written line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from katcore.records import Json

SESSION = "9b676dcf-bfa4-4853-9a82-f7720af14997"
HOME = "/home/alice"


def write(path: Path, lines: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


class ClaudeLog:
    """Lines that hang on each other, as Claude Code writes them."""

    def __init__(self, agent: str = "", cwd: str = f"{HOME}/project") -> None:
        self.lines: list[Json] = []
        self.at: str | None = None
        self.agent, self.cwd = agent, cwd
        self._count = 0

    def add(self, kind: str, parent: str | None = "", **more: Any) -> str:
        """A line below the last one, or below `parent`."""
        self._count += 1
        head: Json = {"parentUuid": self.at if parent == "" else parent, "isSidechain": bool(self.agent)}
        head |= {"agentId": self.agent} if self.agent else {}
        self.at = f"u{self.agent}{self._count}"
        about = {"timestamp": f"2026-01-02T03:04:{self._count:02}.000Z", "cwd": self.cwd, "version": "2.1.330"}
        self.lines.append({**head, "type": kind, **more, "uuid": self.at, "sessionId": SESSION, **about})
        return self.at

    def user(self, content: Any, parent: str | None = "", **more: Any) -> str:
        return self.add("user", parent, message={"role": "user", "content": content}, **more)

    def result(self, call: str, text: str, parent: str | None = "", **more: Any) -> str:
        return self.user([{"type": "tool_result", "tool_use_id": call, "content": text, **more}], parent)

    def says(self, identity: str, *blocks: Json, stop: str = "end_turn") -> str:
        """An answer: a line for each block."""
        usage = {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 2}
        for block in blocks:
            message = {"id": identity, "role": "assistant", "model": "claude", "content": [block]}
            self.add("assistant", message={**message, "stop_reason": stop, "usage": usage})
        assert self.at is not None
        return self.at

    def reminder(self, text: str, role: str = "user") -> str:
        return self.add("attachment", attachment={"type": "x"}, rendered=[{"content": text}], renderedRole=role)


def text(said: str) -> Json:
    return {"type": "text", "text": said}


def use(identity: str, command: str) -> Json:
    return {"type": "tool_use", "id": identity, "name": "Bash", "input": {"command": command}}


class CodexLog:
    """Lines of one thread, as Codex writes them."""

    def __init__(self, thread: str = "t1", parent: str = "", cwd: str = f"{HOME}/project") -> None:
        self._count = 0
        source: Any = {"subagent": {"thread_spawn": {"parent_thread_id": parent}}} if parent else "exec"
        meta = {"id": thread, "cwd": cwd, "cli_version": "0.169.0", "source": source}
        self.lines: list[Json] = []
        self.add("session_meta", {**meta, "base_instructions": {"text": "You are Codex."}})
        self.add("event_msg", {"type": "task_started"})
        self.mode("default")

    def add(self, kind: str, payload: Json, **more: Any) -> None:
        self._count += 1
        time = f"2026-01-02T03:04:{self._count:02}.000Z"
        self.lines.append({"timestamp": time, "ordinal": self._count, "type": kind, "payload": payload, **more})

    def mode(self, name: str) -> None:
        self.add("turn_context", {"model": "gpt", "collaboration_mode": {"mode": name}})

    def turn(self, said: str) -> None:
        self.add("event_msg", {"type": "task_started"})
        self.user(said)

    def user(self, said: str, role: str = "user") -> None:
        self.item(message(role, said))

    def item(self, payload: Json, **more: Any) -> None:
        self.add("response_item", payload, **more)

    def calls(self, identity: str, command: str) -> None:
        arguments = json.dumps({"cmd": command})
        self.item({"type": "function_call", "name": "exec_command", "call_id": identity, "arguments": arguments})
        self.used()

    def output(self, identity: str, said: str) -> None:
        self.item({"type": "function_call_output", "call_id": identity, "output": said})

    def says(self, said: str, **more: Any) -> None:
        self.item(message("assistant", said), **more)
        self.used()

    def used(self) -> None:
        self.add("token_usage_record", {"usage": {"input_tokens": 9, "cached_input_tokens": 4, "output_tokens": 2}})


def message(role: str, said: str) -> Json:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"type": "message", "role": role, "content": [{"type": kind, "text": said}]}


def cline_user(*blocks: Json) -> Json:
    return {"role": "user", "content": list(blocks), "ts": 1767323040000}


def cline_says(*blocks: Json, size: int = 10, at: int = 0) -> Json:
    metrics = {"inputTokens": size, "outputTokens": 2, "cacheReadTokens": 0}
    told = {"modelInfo": {"id": "qwen"}, "metrics": metrics, "ts": 1767323041000 + at}
    return {"role": "assistant", "content": list(blocks), **told}


def cline_result(identity: str, output: str) -> Json:
    content = [{"query": "ls", "result": output, "success": True}]
    return cline_user({"type": "tool_result", "tool_use_id": identity, "content": content})
