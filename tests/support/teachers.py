"""A teacher's endpoint of either kind and an agent of any dialect, in the few words that tests need.

`says` and `chunks` write one answer as the endpoint of a kind does; `Agent` asks in a dialect and reads what it gets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from katcore.gateway.session import Session
from tests.support.gateway_fakes import Socket, sse

Json = dict[str, Any]
KINDS = ("openai", "anthropic")
DIALECTS = ("openai-chat", "openai-responses", "anthropic")
PATHS = {"openai-chat": "/v1/chat/completions", "openai-responses": "/v1/responses", "anthropic": "/v1/messages"}
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}}


def says(kind: str, text: str | None = "Done.", *, call: str = "", finish: str = "", **more: Any) -> Json:
    """An answer with this text, and a call of bash with this command; `more` goes into the message."""
    if kind == "openai":
        message: Json = {"role": "assistant", "content": text, **more}
        if call:
            function = {"name": "bash", "arguments": json.dumps({"command": call})}
            message["tool_calls"] = [{"id": f"call_{call}", "type": "function", "function": function}]
        choice = {"index": 0, "message": message, "finish_reason": finish or ("tool_calls" if call else "stop")}
        return {"id": "x", "choices": [choice], "usage": {"prompt_tokens": 10, "completion_tokens": 2}}
    blocks: list[Json] = [*more.get("thinking", [])]
    blocks += [{"type": "text", "text": text}] if text else []
    blocks += [{"type": "tool_use", "id": f"toolu_{call}", "name": "bash", "input": {"command": call}}] if call else []
    ended = {"stop_reason": finish or ("tool_use" if call else "end_turn"), "stop_sequence": None}
    return {"id": "x", "type": "message", "role": "assistant", "content": blocks, "usage": USAGE, **ended}


USAGE = {"input_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 0, "output_tokens": 2}


def refuses(kind: str, status: int, message: str, code: str = "bad_thing") -> tuple[int, str]:
    """An error in the kind's form."""
    if kind == "openai":
        return status, json.dumps({"error": {"message": message, "type": "invalid", "param": None, "code": code}})
    return status, json.dumps({"type": "error", "error": {"type": code, "message": message}})


def chunks(*events: Any, done: bool = True) -> tuple[int, str, dict[str, str]]:
    """Events as a body of server-sent events."""
    lines = [f"event: {event.get('type', 'x')}\ndata: {json.dumps(event)}\n\n" for event in events]
    text = ": hello\n\n" + "".join(lines) + ("data: [DONE]\n\n" if done else "")
    return 200, text, {"Content-Type": "text/event-stream; charset=utf-8"}


class Agent:
    """An agent that speaks a dialect; `turns` is its conversation in the dialect's own form."""

    def __init__(self, session: Session, dialect: str, **more: Any) -> None:
        self.session, self.dialect, self.more = session, dialect, more
        self.turns: list[Json] = [{"role": "user", "content": "Fix it."}]
        self.headers: dict[str, str] = {}
        self.status, self.answer = 0, {}  # type: tuple[int, Any]
        self.told: dict[str, str] = {}
        """The headers of the answer."""

    def ask(self, *, stream: bool = False) -> Agent:
        """Ask, and keep the answer, or the events of a stream."""
        body: Json = {"model": "m", "stream": stream, **self.more}
        body["input" if self.dialect == "openai-responses" else "messages"] = self.turns
        tool: Json = {"name": "bash", "description": "Run it."}
        if self.dialect == "anthropic":
            body = {"max_tokens": 99, "tools": [{**tool, "input_schema": SCHEMA}], **body}
        elif self.dialect == "openai-chat":
            body = {"tools": [{"type": "function", "function": {**tool, "parameters": SCHEMA}}], **body}
        else:
            body = {"tools": [{"type": "function", **tool, "parameters": SCHEMA}], **body}
        connection = Socket(str(self.session.socket))
        headers = {"x-api-key": self.session.key, **self.headers}
        connection.request("POST", PATHS[self.dialect], json.dumps(body), headers)
        response = connection.getresponse()
        raw, self.status, self.told = response.read(), response.status, dict(response.headers)
        streamed = response.headers.get_content_type() == "text/event-stream"
        self.answer = [json.loads(data) for data in sse(raw) if data != "[DONE]"] if streamed else json.loads(raw)
        connection.close()
        return self

    def go_on(self, result: str = "ok") -> Agent:
        """Take the answer into the conversation, with a result for its call or another word of the user."""
        call = self.call
        if self.dialect == "openai-chat":
            self.turns.append(self.answer["choices"][0]["message"])
            told = {"role": "tool", "tool_call_id": call, "content": result}
        elif self.dialect == "anthropic":
            self.turns.append({"role": "assistant", "content": self.answer["content"]})
            told = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call, "content": result}]}
        else:
            self.turns += self.answer["output"]
            told = {"type": "function_call_output", "call_id": call, "output": result}
        self.turns.append(told if call else {"role": "user", "content": result})
        return self

    @property
    def text(self) -> str:
        """The text of the answer."""
        if self.dialect == "openai-chat":
            return self.answer["choices"][0]["message"]["content"] or ""
        parts = self.answer["content"] if self.dialect == "anthropic" else _parts(self.answer["output"])
        return "".join(part.get("text", "") for part in parts)

    @property
    def call(self) -> str:
        """The id of the answer's call, if it has one."""
        return next(self._calls(), ("", ""))[0]

    @property
    def arguments(self) -> Any:
        """The arguments of the answer's call."""
        return next(self._calls())[1]

    @property
    def end(self) -> Any:
        """Why the answer ended, in the dialect's own words."""
        if self.dialect == "openai-chat":
            return self.answer["choices"][0]["finish_reason"]
        if self.dialect == "anthropic":
            return self.answer["stop_reason"]
        return self.answer["status"], (self.answer["incomplete_details"] or {}).get("reason")

    @property
    def error(self) -> tuple[str, str]:
        """Message and code of an error."""
        error = self.answer["error"]
        return error["message"], error["type" if self.dialect == "anthropic" else "code"]

    def _calls(self) -> Iterator[tuple[str, Any]]:
        if self.dialect == "openai-chat":
            for call in self.answer["choices"][0]["message"].get("tool_calls") or []:
                yield call["id"], json.loads(call["function"]["arguments"])
        elif self.dialect == "anthropic":
            yield from ((b["id"], b["input"]) for b in self.answer["content"] if b["type"] == "tool_use")
        else:
            found = (item for item in self.answer["output"] if item["type"] == "function_call")
            yield from ((item["call_id"], json.loads(item["arguments"])) for item in found)


def _parts(items: list[Json]) -> list[Json]:
    return [part for item in items if item["type"] == "message" for part in item["content"]]
