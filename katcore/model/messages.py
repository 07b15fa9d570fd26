"""Messages and tools as chat templates expect them, checked: what a template would drop or garble is refused.

In: OpenAI messages and tools as clients and datasets write them: content in parts, arguments as JSON text, tools as
JSON text. Out: content in one string, arguments as objects, a list of tools. A Malformed names the message.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import msgspec

Message = dict[str, Any]
Tool = dict[str, Any]

RAW_ARGUMENTS = "__raw_arguments__"
"""The member under which arguments stand that are no object, where an object is wanted."""
PARTS = {"text": "text", "input_text": "text", "output_text": "text", None: "text", "refusal": "refusal"}
"""Types of content parts that are text, and the field that holds it."""
_FUNCTION_CALL = "function_call is the old form of tool_calls, which no template renders"


class Malformed(ValueError):
    """A message or a list of tools that cannot be rendered."""


def plain(messages: Sequence[Message], raw_arguments: bool) -> list[Message]:
    """The messages with text content in one string, `developer` as `system`, arguments as objects.

    `raw_arguments`: the template says what to do with arguments that are a string, and gets them as they were written.
    """
    made = []
    for number, message in enumerate(messages):
        try:
            made.append(_plain(message, raw_arguments))
        except Malformed as error:
            raise Malformed(f"message {number}: {error}") from None
    return made


def _plain(message: Message, raw_arguments: bool) -> Message:
    if not isinstance(message.get("role"), str):
        raise Malformed(f"its role {message.get('role')!r} is no text")
    if message.get("function_call"):
        raise Malformed(_FUNCTION_CALL)
    made = message | {"content": text_of(message.get("content"))}
    if made["role"] == "developer":
        made["role"] = "system"
    if calls := message.get("tool_calls"):
        if not isinstance(calls, list):
            raise Malformed("its tool_calls are no list")
        made["tool_calls"] = [_call(call, raw_arguments) for call in calls]
    return made


def text_of(content: Any) -> str:
    """The text of a message's content: a string, a list of text parts, or nothing. Malformed for anything else."""
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise Malformed(f"its content is neither text nor a list of parts: {content!r:.100}")
    return "".join(map(_part, content))


def _part(part: Any) -> str:
    if not isinstance(part, dict):
        raise Malformed(f"a part of its content is no object: {part!r:.100}")
    kind = part.get("type")
    field = PARTS.get(kind) if kind is None or isinstance(kind, str) else None
    if field is None:
        raise Malformed(f"its content has a part of type {kind!r}, and only text is rendered")
    text = part.get(field)
    if not isinstance(text, str):
        raise Malformed(f"a part of its content has no {field}: {part!r:.100}")
    return text


def _call(call: Any, raw_arguments: bool) -> dict[str, Any]:
    given = call.get("function", call) if isinstance(call, dict) else None
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise Malformed(f"a tool call is no object with a function and its name: {call!r:.100}")
    function = {name: value for name, value in given.items() if given is not call or name in ("name", "arguments")}
    if isinstance(function.get("arguments"), str) and not raw_arguments:
        with suppress(
            msgspec.DecodeError, RecursionError
        ):  # where the model wrote no JSON, its own text is the best there is
            function["arguments"] = msgspec.json.decode(function["arguments"] or "{}")
    return {**call, "function": function}


def with_mappings(messages: Sequence[Message]) -> list[Message] | None:
    """The messages with arguments that are no object put into one, for a template that goes through their members.

    None where all are objects already.
    """
    found, changed = [], False
    for message in messages:
        calls = message.get("tool_calls")
        if calls and any(not isinstance(call["function"].get("arguments", {}), dict) for call in calls):
            message, changed = message | {"tool_calls": [_mapped(call) for call in calls]}, True
        found.append(message)
    return found if changed else None


def _mapped(call: dict[str, Any]) -> dict[str, Any]:
    arguments = call["function"].get("arguments", {})
    if isinstance(arguments, dict):
        return call
    text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return call | {"function": call["function"] | {"arguments": {RAW_ARGUMENTS: text}}}


def tools_of(given: Any) -> list[Tool]:
    """Tools: a list of objects, or JSON text of one as datasets have it; [] where there are none."""
    tools = given
    if isinstance(given, str):
        try:
            tools = msgspec.json.decode(given) if given.strip() else []
        except msgspec.DecodeError as error:
            raise Malformed(f"its tools are text that is no JSON: {error}") from None
    if not isinstance(tools or [], list) or any(not isinstance(tool, dict) for tool in tools or []):
        raise Malformed(f"its tools are no list of objects: {given!r:.100}")
    return list(tools or [])
