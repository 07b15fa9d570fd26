"""OpenAI Chat Completions: what agents send, and what they expect back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from katcore.gateway.dialects import BadRequest, Reply, Request
from katcore.records import Json

ROLES = {"system", "developer", "user", "assistant", "tool"}
SAMPLING = ("temperature", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "seed", "stop")
REFUSED = ("functions", "function_call", "audio", "logprobs", "logit_bias")
PIECE = 4096


class OpenAIChat:
    """The dialect of `/v1/chat/completions`."""

    name = "openai-chat"
    path = "/v1/chat/completions"

    def parse(self, body: bytes) -> Request:
        try:
            given = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest(f"the body is not JSON: {error}") from None
        if not isinstance(given, dict):
            raise BadRequest("the body is not a JSON object")
        if given.get("n") not in (None, 1):
            raise BadRequest("n must be 1", code="unsupported_value")
        for name in REFUSED:
            if given.get(name):
                raise BadRequest(f"{name} is not supported", code="unsupported_parameter")
        limit = given.get("max_completion_tokens") or given.get("max_tokens")
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise BadRequest("max_tokens must be a positive number")
        options = given.get("stream_options") or {}
        return Request(
            messages=_messages(given.get("messages")),
            tools=_tools(given),
            stream=bool(given.get("stream")),
            include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
            max_tokens=limit,
            model=str(given.get("model") or ""),
            asked={name: given[name] for name in SAMPLING if given.get(name) is not None},
        )

    def answer(self, request: Request, reply: Reply) -> Json:
        choice = {"index": 0, "message": reply.message, "logprobs": None, "finish_reason": reply.finish_reason}
        return {**_head(request, reply, "chat.completion"), "choices": [choice], "usage": _usage(reply)}

    def events(self, request: Request, reply: Reply) -> Iterator[bytes]:
        head = _head(request, reply, "chat.completion.chunk")
        if request.include_usage:
            head["usage"] = None
        for delta in _deltas(reply.message):
            yield _event({**head, "choices": [_choice(delta)]})
        yield _event({**head, "choices": [_choice({}, reply.finish_reason)]})
        if request.include_usage:
            yield _event({**head, "choices": [], "usage": _usage(reply)})
        yield b"data: [DONE]\n\n"

    def error(self, message: str, code: str, status: int) -> Json:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _messages(given: Any) -> list[Json]:
    if not isinstance(given, list) or not given:
        raise BadRequest("messages must be a list that is not empty")
    for message in given:
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise BadRequest(f"not a message: {str(message)[:100]}")
        _check_content(message)
        calls = message.get("tool_calls") or []
        if not isinstance(calls, list) or any(not isinstance(call, dict) or "function" not in call for call in calls):
            raise BadRequest("tool_calls must be a list of function calls")
    return given


def _check_content(message: Json) -> None:
    content = message.get("content")
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise BadRequest("content must be a string or a list of parts")
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind in ("image_url", "input_audio", "file"):
            raise BadRequest(f"this model reads text only, not {kind}", code="unsupported_content")
        if kind != "text" or not isinstance(part.get("text"), str):
            raise BadRequest(f"not a text part: {str(part)[:100]}")


def _tools(given: Json) -> list[Json] | None:
    tools = given.get("tools")
    if not tools or given.get("tool_choice") == "none":
        return None
    if not isinstance(tools, list) or any(not isinstance(t, dict) or t.get("type") != "function" for t in tools):
        raise BadRequest("tools must be a list of functions")
    return tools


def _head(request: Request, reply: Reply, kind: str) -> Json:
    return {"id": reply.id, "object": kind, "created": int(time.time()), "model": request.model}


def _usage(reply: Reply) -> Json:
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
    }


def _deltas(message: Json) -> Iterator[Json]:
    """The message in the pieces that clients join again: role, text, then each call's name and arguments."""
    yield {"role": "assistant", "content": ""}
    for field in ("reasoning_content", "content"):
        for piece in _pieces(message.get(field) or ""):
            yield {field: piece}
    for index, call in enumerate(message.get("tool_calls") or []):
        function = {"name": call["function"]["name"], "arguments": ""}
        yield {"tool_calls": [{"index": index, "id": call["id"], "type": "function", "function": function}]}
        for piece in _pieces(call["function"]["arguments"]):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


def _pieces(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]


def _choice(delta: Json, finish_reason: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def _event(chunk: Json) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"
