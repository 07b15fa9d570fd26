"""OpenAI Responses: what comes in as items, and the items and events that clients expect back.

Nothing is stored: `previous_response_id`, `conversation` and `background` are refused. The provider's own tools are
left out; a `custom` tool is shown to the model as a function with one argument, `input`. Reasoning that comes back in
clear text is read; encrypted reasoning is nobody's here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from katcore.gateway.dialects import (
    ANY,
    BadRequest,
    Reply,
    Request,
    Route,
    Stream,
    asked_of,
    function_tool,
    limit_of,
    read_list,
    read_object,
    read_part,
    tool_call,
)
from katcore.gateway.dialects.constraints import flag, member, text_format, verbosity_asked, word
from katcore.gateway.dialects.content import Content, Part, image, joined, placeholder
from katcore.gateway.dialects.responses_events import ResponseEvents, items_of, response_of
from katcore.gateway.memo import Memo
from katcore.records import Json

SAMPLING = ("temperature", "top_p", "reasoning", "parallel_tool_calls")
REFUSED = ("previous_response_id", "conversation", "background", "prompt")
Tools = tuple[list[Json] | None, frozenset[str], dict[str, str]]
NOTHING: list[Json] = []
NO_TOOLS: Tools = (None, frozenset(), {})
LATER_TOOLS = ("additional_tools", "tool_search_output")
"""Types of items that bring more tools."""
CUSTOM = {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]}


class OpenAIResponses:
    """The dialect of `/v1/responses`."""

    name = "openai-responses"
    routes: tuple[Route, ...] = (Route("/v1/responses"),)

    def parse(self, body: bytes, memo: Memo) -> Request:
        given, raw = read_object(body, "input", "instructions", "tools")
        for name in REFUSED:
            if given.get(name):
                raise BadRequest(f"{name} is not supported: send the whole input", code="unsupported_parameter")
        tools, custom, namespaces = _with_later(read_part(raw.get("tools"), memo, _tools, NO_TOOLS), raw, memo)
        return Request(
            messages=[*read_part(raw.get("instructions"), memo, _opening, NOTHING), *_messages(raw.get("input"), memo)],
            tools=None if given.get("tool_choice") == "none" else tools,
            stream=bool(given.get("stream")),
            max_tokens=limit_of(given, "max_output_tokens"),
            model=str(given.get("model") or ""),
            asked=asked_of(given, SAMPLING) | verbosity_asked(given),
            forced=_forced(given.get("tool_choice")),
            schema=text_format(given.get("text")),
            parallel=flag(given.get("parallel_tool_calls"), "parallel_tool_calls"),
            effort=word(member(given.get("reasoning"), "reasoning", "effort"), "reasoning.effort"),
            custom=custom,
            namespaces=namespaces,
        )

    def answer(self, request: Request, reply: Reply) -> Json:
        items = items_of(reply.message, reply.id, request.custom, request.namespaces)
        return response_of(request, reply.id, items, reply)

    def stream(self, request: Request, identity: str, prompt_tokens: int) -> Stream:
        return ResponseEvents(request, identity)

    def error(self, message: str, code: str, status: int) -> Json:
        kind = "server_error" if status >= 500 else "invalid_request_error"
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _opening(instructions: Any) -> list[Json]:
    return [{"role": "system", "content": str(instructions)}] if instructions else []


def _messages(raw: msgspec.Raw | None, memo: Memo) -> list[Json]:
    """Items as messages; neighbours that one answer of the model can have held become one message."""
    if raw is not None and bytes(memoryview(raw)[:1]) == b'"':
        return read_part(raw, memo, _text_alone, NOTHING)
    found: list[Json] = []
    for message in read_list(raw, memo, _message, "input"):
        joined = memo.pair(found[-1], message, _joined) if found and message is not None else None
        if joined is not None:
            found[-1] = joined
        elif message is not None:
            found.append(message)
    return found


def _text_alone(text: str) -> list[Json]:
    if not text:
        raise BadRequest("input must be a text or a list that is not empty")
    return [{"role": "user", "content": text}]


def _message(item: Any) -> Json | None:
    if not isinstance(item, dict):
        raise BadRequest(f"not an item: {str(item)[:100]}")
    kind = item.get("type") or "message"
    if kind == "message":
        return _said(item)
    if kind == "reasoning":
        parts = item.get("content") or item.get("summary") or []
        text = "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))
        return {"role": "assistant", "content": None, "reasoning_content": text} if text else None
    if kind in ("function_call", "custom_tool_call"):
        return {"role": "assistant", "content": None, "tool_calls": [_call(item, kind)]}
    if kind in ("function_call_output", "custom_tool_call_output"):
        identity, output = str(item.get("call_id") or ""), item.get("output")
        return {"role": "tool", "tool_call_id": identity, "content": _text(output)}
    if str(kind).endswith("_call") or str(kind).startswith("mcp_") or kind in LATER_TOOLS:  # the provider's own tools
        return None
    return {"role": "user", "content": placeholder(kind, _told(item.get("content")))}


def _said(item: Json) -> Json:
    role = item.get("role")
    if role not in ("user", "assistant", "system", "developer"):
        raise BadRequest(f"not a message: {str(item)[:100]}")
    return {"role": role, "content": _text(item.get("content"))}


def _call(item: Json, kind: str) -> Json:
    arguments = str(item.get("arguments") or "")
    if kind == "custom_tool_call":
        arguments = json.dumps({"input": str(item.get("input") or "")}, ensure_ascii=False)
    return tool_call(str(item.get("call_id") or ""), str(item.get("name") or ""), arguments)


def _joined(last: Json, new: Json) -> Json | None:
    """Two messages as one, if one answer can have held both (reasoning, then text, then calls); else None."""
    if last["role"] != "assistant" or new["role"] != "assistant" or new.get("reasoning_content"):
        return None
    if new.get("content") and (last.get("content") or last.get("tool_calls")):
        return None
    joined = {**last, "content": last.get("content") or new.get("content")}
    if new.get("tool_calls"):
        joined["tool_calls"] = [*last.get("tool_calls", []), *new["tool_calls"]]
    return joined


def _text(content: Any) -> Content:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise BadRequest("content must be a string or a list of parts")
    return joined(map(_part, content))


def _part(part: Any) -> Part:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text", "text", "refusal"):
        text = part.get("refusal" if kind == "refusal" else "text")
        if not isinstance(text, str):
            raise BadRequest(f"not a text part: {str(part)[:100]}")
        return text
    if kind in ("input_image", "computer_screenshot"):
        return image(part.get("image_url"), kind)
    return placeholder(kind)


def _told(content: Any) -> str:
    """The text of an item that nobody here knows."""
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return content if isinstance(content, str) else "".join(text for text in texts if isinstance(text, str))


def _flat(tools: Any) -> tuple[Any, dict[str, str]]:
    """Tools without the namespaces that hold some of them, and the namespace of each that had one."""
    if not isinstance(tools, list):
        return tools, {}
    flat: list[Any] = []
    spaces: dict[str, str] = {}
    for tool in tools:
        inner = tool.get("tools") if isinstance(tool, dict) and tool.get("type") == "namespace" else None
        if not isinstance(inner, list):
            flat.append(tool)
            continue
        flat += inner
        spaces |= {str(each.get("name")): str(tool.get("name")) for each in inner if isinstance(each, dict)}
    return flat, spaces


def _forced(choice: Any) -> str:
    if choice in (None, "auto", "none"):
        return ""
    if choice == "required":
        return ANY
    name = choice.get("name") if isinstance(choice, dict) and choice.get("type") in ("function", "custom") else None
    if not isinstance(name, str) or not name:
        raise BadRequest(f"tool_choice {str(choice)[:100]} is not supported", code="unsupported_value")
    return name


def _tools(given: Any) -> Tools:
    """The tools that the model is shown, those whose argument is free text, and the namespaces of those in one."""
    tools, namespaces = _flat(given or [])
    if not isinstance(tools, list) or any(not isinstance(tool, dict) for tool in tools):
        raise BadRequest("tools must be a list of objects")
    found, custom = [], []
    for tool in tools:
        if tool.get("type") == "function":
            found.append(function_tool(tool.get("name"), tool.get("description"), tool.get("parameters")))
        elif tool.get("type") == "custom":
            found.append(function_tool(tool.get("name"), _described(tool), CUSTOM))
            custom.append(str(tool["name"]))
    return found or None, frozenset(custom), namespaces


def _with_later(tools: Tools, raw: Mapping[str, msgspec.Raw], memo: Memo) -> Tools:
    """The tools with those that later items of the input bring (`additional_tools`, `tool_search_output`)."""
    given = raw.get("input")
    if given is None or not any(f'"{kind}"'.encode() in bytes(memoryview(given)) for kind in LATER_TOOLS):
        return tools
    items = read_list(given, memo, _unchanged, "input") if bytes(memoryview(given)[:1]) == b"[" else []
    shown, custom, namespaces = list(tools[0] or []), tools[1], tools[2]
    for item in items:
        if not isinstance(item, dict) or item.get("type") not in LATER_TOOLS:
            continue
        more, free, spaces = _tools(item.get("tools"))
        known = {tool["function"]["name"] for tool in shown}
        shown += [tool for tool in more or [] if tool["function"]["name"] not in known]
        custom, namespaces = custom | free, namespaces | spaces
    return shown or None, custom, namespaces


def _unchanged(item: Any) -> Any:
    return item


def _described(tool: Json) -> str:
    """A custom tool's description with the grammar that its input follows."""
    given = tool.get("format") or {}
    grammar = given.get("definition") if isinstance(given, dict) else None
    return "\n\n".join(str(text) for text in (tool.get("description"), grammar) if text)
