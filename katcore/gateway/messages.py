"""When two messages are the same: a key over what the model sees of them, however a client wrote them down."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import msgspec

from katcore.records import Json

_OTHERS = re.compile(r"[^A-Za-z0-9]")


def text_of(content: Any) -> str:
    """The text of a message's content: a string, a list of text parts, or nothing."""
    if isinstance(content, list):
        return "".join(part.get("text") or part.get("refusal") or "" for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def arguments_of(raw: Any) -> str:
    """A call's arguments in one form: clients may parse and write them again; text that is no JSON stays as it is."""
    try:
        value = msgspec.json.decode(raw) if isinstance(raw, str) else raw
    except (msgspec.DecodeError, UnicodeError):
        return str(raw)
    return _written(value)


def call_id(given: Any) -> str:
    """A tool call's id as it is compared: some clients keep its letters and digits alone."""
    return _OTHERS.sub("", str(given or ""))


def _call(call: Json) -> list[str]:
    function = call.get("function") or {}
    return [call_id(call.get("id")), function.get("name") or "", arguments_of(function.get("arguments") or "")]


def key_of(message: Json) -> str:
    """A key that is equal for messages that say the same: role, content (None is ""), tool calls, call answered.

    Clients strip an assistant's text and do not send its reasoning back, so neither counts.
    """
    role = "system" if message.get("role") == "developer" else message.get("role")
    content = text_of(message.get("content"))
    calls = [_call(call) for call in message.get("tool_calls") or []]
    if role == "assistant":
        content = content.strip()
    parts = [role, content, calls, call_id(message.get("tool_call_id")), message.get("name") or ""]
    return hashlib.blake2b(_written(parts).encode(), digest_size=16).hexdigest()


def tools_key(tools: list[Json] | None) -> str:
    """A key that is equal for tool lists that say the same."""
    return _written(tools or [])


def _written(value: Any) -> str:
    """The value as JSON with sorted members; half a surrogate pair, which is no UTF-8, is written as its escape."""
    try:
        return msgspec.json.encode(value, order="sorted").decode()
    except UnicodeError:
        return json.dumps(value, sort_keys=True)
