"""Anthropic Messages: what agents send, and what they expect back.

Left out of what the model sees: `cache_control`, the attribution header that Claude Code puts at the head of its system
prompt, and the provider's own server tools.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from katcore.gateway.dialects import (
    ANY,
    BadRequest,
    Reply,
    Request,
    Route,
    Stream,
    arguments_of_object,
    asked_of,
    event,
    function_tool,
    limit_of,
    object_of,
    pieces,
    read_list,
    read_object,
    read_part,
    stop_of,
    tool_call,
)
from katcore.gateway.dialects.constraints import effort_asked, flag, output_format, thinking_effort
from katcore.gateway.dialects.content import Content, Part, image, joined, placeholder
from katcore.gateway.memo import Memo
from katcore.records import Json

SAMPLING = ("temperature", "top_p", "top_k", "stop_sequences", "thinking")
ATTRIBUTION = "x-anthropic-billing-header:"
SERVER_TOOLS = ("web_search_", "web_fetch_", "code_execution_", "tool_search_", "mcp_toolset")
SERVER_BLOCKS = ("server_tool_use", "web_search_tool_result", "web_fetch_tool_result", "code_execution_tool_result")
NOTHING: list[Json] = []
STOP_REASONS = {
    "stop": "end_turn",
    "tool_calls": "tool_use",
    "length": "max_tokens",
    "refusal": "refusal",
    "content_filter": "refusal",
}
FINISH_REASONS = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "refusal": "refusal",
    "model_context_window_exceeded": "length",
}
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}


class AnthropicMessages:
    """The dialect of `/v1/messages`."""

    name = "anthropic"
    routes: tuple[Route, ...] = (Route("/v1/messages"),)
    counting: tuple[str, ...] = ("/v1/messages/count_tokens",)

    def parse(self, body: bytes, memo: Memo) -> Request:
        given, raw = read_object(body, "system", "messages", "tools")
        system = read_part(raw.get("system"), memo, _system, NOTHING)
        choice = _choice(given)
        return Request(
            messages=[*system, *chain.from_iterable(read_list(raw.get("messages"), memo, _message_of, "messages"))],
            tools=None if choice.get("type") == "none" else read_part(raw.get("tools"), memo, _tools, None),
            stream=bool(given.get("stream")),
            max_tokens=limit_of(given, "max_tokens"),
            model=str(given.get("model") or ""),
            asked=asked_of(given, SAMPLING) | effort_asked(given),
            forced=_forced(choice),
            stop=stop_of(given.get("stop_sequences"), "stop_sequences"),
            schema=output_format(given),
            parallel=_parallel(choice),
            effort=thinking_effort(given),
        )

    def answer(self, request: Request, reply: Reply) -> Json:
        head = _message(request, reply.id, _usage(reply))
        return {**head, "content": blocks_of(reply.message), **_ended(reply)}

    def stream(self, request: Request, identity: str, prompt_tokens: int) -> Stream:
        return _Events(request, identity, prompt_tokens)

    def error(self, message: str, code: str, status: int) -> Json:
        if code == "context_length_exceeded":  # the words by which clients know it
            message = f"prompt is too long: {message}"
        return {"type": "error", "error": {"type": ERRORS.get(status, _unnamed(status)), "message": message}}

    def counted(self, tokens: int) -> Json:
        return {"input_tokens": tokens}


class _Events:
    """The stream of the API: message_start, each block's start, deltas and stop, message_delta, message_stop."""

    def __init__(self, request: Request, identity: str, prompt_tokens: int) -> None:
        self._message = _message(request, identity, {"input_tokens": prompt_tokens, "output_tokens": 0})
        self._index = -1
        self._open = ""
        self._sent = {"thinking": 0, "text": 0}

    def start(self) -> bytes:
        return _named({"type": "message_start", "message": self._message}) + self.keep_alive()

    def keep_alive(self) -> bytes:
        return _named({"type": "ping"})

    def delta(self, reasoning: str, text: str) -> bytes:
        return b"".join([*self._more("thinking", reasoning), *self._more("text", text)])

    def finish(self, reply: Reply) -> Iterator[bytes]:
        message = reply.message
        yield from self._more("thinking", (message.get("reasoning_content") or "")[self._sent["thinking"] :])
        yield from self._more("text", (message.get("content") or "")[self._sent["text"] :])
        for call in message.get("tool_calls") or []:
            function = call["function"]
            yield from self._begin("tool_use", {"id": call["id"], "name": function["name"], "input": {}})
            for piece in pieces(arguments_of_object(object_of(function["arguments"]))):
                yield self._block_delta({"type": "input_json_delta", "partial_json": piece})
        yield from self._end()
        yield _named({"type": "message_delta", "delta": _ended(reply), "usage": _usage(reply)})
        yield _named({"type": "message_stop"})

    def fail(self, message: str, code: str, status: int) -> bytes:
        return _named(AnthropicMessages().error(message, code, status))

    def _more(self, kind: str, text: str) -> Iterator[bytes]:
        if not text:
            return
        if self._open != kind:
            yield from self._begin(kind, {kind: "", **({"signature": ""} if kind == "thinking" else {})})
        self._sent[kind] += len(text)
        for piece in pieces(text):
            yield self._block_delta({"type": f"{kind}_delta", kind: piece})

    def _begin(self, kind: str, block: Json) -> Iterator[bytes]:
        yield from self._end()
        self._open, self._index = kind, self._index + 1
        yield _named({"type": "content_block_start", "index": self._index, "content_block": {"type": kind, **block}})

    def _end(self) -> Iterator[bytes]:
        if self._open == "thinking":
            yield self._block_delta({"type": "signature_delta", "signature": ""})
        if self._open:
            yield _named({"type": "content_block_stop", "index": self._index})
        self._open = ""

    def _block_delta(self, delta: Json) -> bytes:
        return _named({"type": "content_block_delta", "index": self._index, "delta": delta})


def _unnamed(status: int) -> str:
    return "api_error" if status >= 500 else "invalid_request_error"


def _named(data: Json) -> bytes:
    return event(data, str(data["type"]))


def _message(request: Request, identity: str, usage: Json) -> Json:
    return {
        "id": f"msg_{identity}",
        "type": "message",
        "role": "assistant",
        "model": request.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _ended(reply: Reply) -> Json:
    if reply.stopped_by:
        return {"stop_reason": "stop_sequence", "stop_sequence": reply.stopped_by}
    return {"stop_reason": STOP_REASONS[reply.finish_reason], "stop_sequence": None}


def _usage(reply: Reply) -> Json:
    return {
        "input_tokens": reply.prompt_tokens - reply.cached_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": reply.cached_tokens,
        "output_tokens": reply.completion_tokens,
    }


def blocks_of(message: Json) -> list[Json]:
    """An assistant's message as content blocks: thinking, text, then its calls."""
    blocks: list[Json] = list(message.get("thinking_blocks") or [])
    if not blocks and message.get("reasoning_content"):
        blocks.append({"type": "thinking", "thinking": message["reasoning_content"], "signature": ""})
    if message.get("content"):
        blocks.append({"type": "text", "text": message["content"]})
    for call in message.get("tool_calls") or []:
        function = call["function"]
        given = {"id": call["id"], "name": function["name"], "input": object_of(function["arguments"])}
        blocks.append({"type": "tool_use", **given})
    return blocks


# ------------------------------------------------------------------ what comes in


def _system(given: Any) -> list[Json]:
    blocks = [{"type": "text", "text": given}] if isinstance(given, str) else given or []
    if not isinstance(blocks, list):
        raise BadRequest("system must be a string or a list of text blocks")
    texts = [text for text in map(_text, blocks) if not text.startswith(ATTRIBUTION)]
    return [{"role": "system", "content": "\n\n".join(texts)}] if texts else []


def _message_of(message: Any) -> list[Json]:
    role = message.get("role") if isinstance(message, dict) else None
    if role not in ("user", "assistant", "system"):
        raise BadRequest(f"not a message: {str(message)[:100]}")
    content = message.get("content")
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(blocks, list) or any(not isinstance(block, dict) for block in blocks):
        raise BadRequest("content must be a string or a list of blocks")
    return [assistant_of(blocks)] if role == "assistant" else list(_turn(str(role), blocks))


def _turn(role: str, blocks: list[Json]) -> Iterator[Json]:
    """A turn as messages: each result first, then what the user says, which is the order that chat templates know."""
    parts: list[Part] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            text = _result(block.get("content"))
            error = {"is_error": True} if block.get("is_error") else {}
            yield {"role": "tool", "tool_call_id": str(block.get("tool_use_id") or ""), "content": text, **error}
        elif block.get("type") not in SERVER_BLOCKS:
            parts.append(_part(block))
    if parts or not blocks:
        yield {"role": role, "content": joined(parts, "\n\n")}


def assistant_of(blocks: list[Json]) -> Json:
    """Content blocks as an assistant's message; what the provider's own tools did is left out."""
    message: Json = {"role": "assistant", "content": None}
    text, thinking, calls, signed = "", "", [], []
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            text += _text(block)
        elif kind in ("thinking", "redacted_thinking"):
            thinking += str(block.get("thinking") or "")
            if block.get("signature") or block.get("data"):
                signed.append(block)
        elif kind == "tool_use":
            arguments = arguments_of_object(block.get("input"))
            calls.append(tool_call(str(block.get("id") or ""), str(block.get("name") or ""), arguments))
        elif kind not in SERVER_BLOCKS:
            text += placeholder(kind)
    message["content"] = text if text or not calls else None
    message |= {"reasoning_content": thinking} if thinking else {}
    message |= {"thinking_blocks": signed} if signed else {}
    return message | ({"tool_calls": calls} if calls else {})


def _result(content: Any) -> Content:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise BadRequest("a tool result's content must be a string or a list of blocks")
    return joined(map(_part, content))


def _text(block: Any) -> str:
    if not isinstance(block, dict) or block.get("type") != "text" or not isinstance(block.get("text"), str):
        raise BadRequest(f"not a text block: {str(block)[:100]}")
    return str(block["text"])


def _part(block: Any) -> Part:
    kind = block.get("type") if isinstance(block, dict) else None
    if kind == "text":
        return _text(block)
    if kind == "image":
        source = block.get("source") if isinstance(block.get("source"), dict) else {}
        data = f"data:{source.get('media_type')};base64,{source['data']}" if source.get("data") else source.get("url")
        return image(data, kind)
    if kind == "tool_reference":
        return placeholder(kind, str(block.get("tool_name") or ""))
    return placeholder(kind)


def _choice(given: Json) -> Json:
    choice = given.get("tool_choice") or {}
    if not isinstance(choice, dict):
        raise BadRequest("tool_choice must be an object")
    return choice


def _parallel(choice: Json) -> bool | None:
    disabled = flag(choice.get("disable_parallel_tool_use"), "tool_choice.disable_parallel_tool_use")
    return None if disabled is None else not disabled


def _forced(choice: Json) -> str:
    kind = choice.get("type", "auto")
    if kind in ("auto", "none"):
        return ""
    name = ANY if kind == "any" else choice.get("name")
    if kind not in ("any", "tool") or not isinstance(name, str) or not name:
        raise BadRequest(f"tool_choice {str(choice)[:100]} is not supported", code="unsupported_value")
    return name


def _tools(given: Any) -> list[Json] | None:
    tools = given or []
    if not isinstance(tools, list) or any(not isinstance(tool, dict) for tool in tools):
        raise BadRequest("tools must be a list of objects")
    found = []
    for tool in tools:
        kind = str(tool.get("type") or "custom")
        if kind.startswith(SERVER_TOOLS):
            continue
        if kind != "custom":
            raise BadRequest(f"the tool type {kind} is not supported", code="unsupported_tool")
        found.append(function_tool(tool.get("name"), tool.get("description"), tool.get("input_schema")))
    return found or None
