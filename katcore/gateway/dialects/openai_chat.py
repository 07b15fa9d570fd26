"""OpenAI Chat Completions: what agents send, and what they expect back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from katcore.gateway.dialects import (
    ANY,
    BadRequest,
    Reply,
    Request,
    Route,
    Stream,
    asked_of,
    event,
    limit_of,
    pieces,
    read_list,
    read_object,
    read_part,
    stop_of,
)
from katcore.gateway.dialects.constraints import flag, response_format, whole_number, word
from katcore.gateway.dialects.content import Part, image, joined, placeholder
from katcore.gateway.memo import Memo
from katcore.records import Json

ROLES = {"system", "developer", "user", "assistant", "tool"}
SAMPLING = (
    *("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "seed", "stop"),
    *("reasoning_effort", "verbosity", "parallel_tool_calls"),
)
REFUSED = ("functions", "function_call", "audio", "logprobs", "logit_bias")


class OpenAIChat:
    """The dialect of `/v1/chat/completions`."""

    name = "openai-chat"
    routes: tuple[Route, ...] = (Route("/v1/chat/completions"),)

    def parse(self, body: bytes, memo: Memo) -> Request:
        given, raw = read_object(body, "messages", "tools")
        if given.get("n") not in (None, 1):
            raise BadRequest("n must be 1", code="unsupported_value")
        for name in REFUSED:
            if given.get(name):
                raise BadRequest(f"{name} is not supported", code="unsupported_parameter")
        options = given.get("stream_options") or {}
        return Request(
            messages=read_list(raw.get("messages"), memo, _message, "messages"),
            tools=None if given.get("tool_choice") == "none" else read_part(raw.get("tools"), memo, _tools, None),
            stream=bool(given.get("stream")),
            include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
            max_tokens=limit_of(given, "max_completion_tokens", "max_tokens"),
            model=str(given.get("model") or ""),
            asked=asked_of(given, SAMPLING),
            forced=_forced(given.get("tool_choice")),
            stop=stop_of(given.get("stop"), "stop"),
            schema=response_format(given.get("response_format")),
            parallel=flag(given.get("parallel_tool_calls"), "parallel_tool_calls"),
            seed=whole_number(given.get("seed"), "seed"),
            effort=word(given.get("reasoning_effort"), "reasoning_effort"),
        )

    def answer(self, request: Request, reply: Reply) -> Json:
        choice = {"index": 0, "message": _told(reply.message), "logprobs": None, "finish_reason": _finish(reply)}
        return {**_head(request, reply.id, "chat.completion"), "choices": [choice], "usage": _usage(reply)}

    def stream(self, request: Request, identity: str, prompt_tokens: int) -> Stream:
        return _Chunks(request, identity)

    def error(self, message: str, code: str, status: int) -> Json:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class _Chunks:
    """The stream of the API: chunks with role, reasoning, text, then each call's name and arguments."""

    def __init__(self, request: Request, identity: str) -> None:
        self._usage = request.include_usage
        self._head = _head(request, identity, "chat.completion.chunk")
        if self._usage:
            self._head["usage"] = None
        self._sent = {"reasoning_content": 0, "content": 0, "refusal": 0}

    def start(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def keep_alive(self) -> bytes:
        return b": keep-alive\n\n"

    def delta(self, reasoning: str, text: str) -> bytes:
        return b"".join([*self._text("reasoning_content", reasoning), *self._text("content", text)])

    def finish(self, reply: Reply) -> Iterator[bytes]:
        message = _told(reply.message)
        for field, sent in list(self._sent.items()):
            yield from self._text(field, (message.get(field) or "")[sent:])
        for index, call in enumerate(reply.message.get("tool_calls") or []):
            function = {"name": call["function"]["name"], "arguments": ""}
            opening = {"index": index, "id": call["id"], "type": "function", "function": function}
            yield self._chunk({"tool_calls": [opening]})
            for piece in pieces(call["function"]["arguments"]):
                yield self._chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
        yield self._chunk({}, _finish(reply))
        if self._usage:
            yield event({**self._head, "choices": [], "usage": _usage(reply)})
        yield b"data: [DONE]\n\n"

    def fail(self, message: str, code: str, status: int) -> bytes:
        return event(OpenAIChat().error(message, code, status))

    def _text(self, field: str, text: str) -> Iterator[bytes]:
        self._sent[field] += len(text)
        for piece in pieces(text):
            yield self._chunk({field: piece})

    def _chunk(self, delta: Json, finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return event({**self._head, "choices": [choice]})


def _told(message: Json) -> Json:
    """A message as this API writes it: what is said as a refusal is not content."""
    refused = message.get("refusal") and message.get("content") == message["refusal"]
    return {**message, "content": None} if refused else message


def _finish(reply: Reply) -> str:
    """The reason in this API's words, in which a refusal has a field, and else is a filter's work."""
    if reply.finish_reason != "refusal":
        return reply.finish_reason
    return "stop" if reply.message.get("refusal") else "content_filter"


def _message(message: Any) -> Json:
    if not isinstance(message, dict) or message.get("role") not in ROLES:
        raise BadRequest(f"not a message: {str(message)[:100]}")
    known = _with_known_parts(message)
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list) or any(not isinstance(call, dict) or "function" not in call for call in calls):
        raise BadRequest("tool_calls must be a list of function calls")
    if isinstance(known.get("refusal"), str) and not known.get("content"):
        return {**known, "content": known["refusal"] or None}
    return known


def _with_known_parts(message: Json) -> Json:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return message
    if not isinstance(content, list):
        raise BadRequest("content must be a string or a list of parts")
    if all(isinstance(part, dict) and isinstance(part.get(part.get("type") or ""), str) for part in content):
        return message
    return {**message, "content": joined(map(_part, content))}


def _part(part: Any) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal"):
        if not isinstance(part.get(kind), str):
            raise BadRequest(f"not a text part: {str(part)[:100]}")
        return str(part[kind])
    if kind == "image_url":
        given = part.get("image_url")
        return image(given.get("url") if isinstance(given, dict) else given, kind)
    return placeholder(kind)


def _forced(choice: Any) -> str:
    if choice in (None, "auto", "none"):
        return ""
    if choice == "required":
        return ANY
    name = (choice.get("function") or {}).get("name") if isinstance(choice, dict) else None
    if not isinstance(name, str) or choice.get("type") != "function":
        raise BadRequest(f"tool_choice {str(choice)[:100]} is not supported", code="unsupported_value")
    return name


def _tools(tools: Any) -> list[Json] | None:
    if not tools:
        return None
    if not isinstance(tools, list) or any(not isinstance(t, dict) or t.get("type") != "function" for t in tools):
        raise BadRequest("tools must be a list of functions")
    return [{name: value for name, value in tool.items() if name != "cache_control"} for tool in tools]


def _head(request: Request, identity: str, kind: str) -> Json:
    return {"id": f"chatcmpl-{identity}", "object": kind, "created": int(time.time()), "model": request.model}


def _usage(reply: Reply) -> Json:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
    }
