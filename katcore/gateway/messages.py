"""When two messages are the same: a key over what the model sees of them, however a client wrote them down."""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

import msgspec

from katcore.records import Json

_HALVES = re.compile("[\ud800-\udfff]")
_OTHERS = re.compile(r"[^A-Za-z0-9]")


def text_of(content: Any) -> str:
    """The text of a message's content: a string, a list of text parts, or nothing."""
    if isinstance(content, list):
        return "".join(
            part.get("text") or part.get("refusal") or _image(part) for part in content if isinstance(part, dict)
        )
    return content if isinstance(content, str) else ""


def arguments_of(raw: Any) -> str:
    """A call's arguments in one form: clients may parse and write them again; text that is no JSON stays as it is.

    What a client of JavaScript or Python can give back for the same arguments has the same form: 105.0 and 105, 1e3 and
    1000, -0.0 and 0, an integer beyond 2^53 and the double next to it, no text at all and `{}`, half of a surrogate
    pair and U+FFFD.
    """
    try:
        value = json.loads(raw or "{}") if isinstance(raw, str) else raw
        return _written(_returned(value))
    except (ValueError, RecursionError):
        return whole_characters(str(raw))


def whole_characters(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair, as clients write what is no Unicode."""
    return text if text.isascii() else _HALVES.sub("\N{REPLACEMENT CHARACTER}", text)


def _image(part: Json) -> str:
    """What tells an image from another one; empty for other parts."""
    if part.get("type") != "image_url":
        return ""
    return f"[image {hashlib.blake2b(str(part.get('image_url')).encode(), digest_size=8).hexdigest()}]"


def _number(value: float) -> float | None:
    try:
        double = float(value)
    except OverflowError:
        return None
    if not math.isfinite(double):
        return None
    return int(double) if double.is_integer() else double


def _returned(value: Any) -> Any:
    """The JSON value as it may come back: numbers as doubles, whole ones as integers; whole characters."""
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return _number(value)
    if isinstance(value, list):
        return [_returned(each) for each in value]
    return {whole_characters(name): _returned(each) for name, each in value.items()}


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
    content = whole_characters(text_of(message.get("content")))
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
