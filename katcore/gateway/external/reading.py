"""What endpoints answer, in one form: counts that are text or floats, content as parts, calls without ids.

What has one plain meaning is taken so. Anything else is Unreadable: that one call has failed.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from katcore.gateway.dialects import tool_call
from katcore.gateway.model import Answer
from katcore.gateway.tree import Sampled
from katcore.records import Json, ToolCall, content_id

Usage = tuple[int | None, int | None, int | None]
LARGEST = 1 << 53
"""Counts above it are no counts."""


class Unreadable(ValueError):
    """An answer whose shape has no plain meaning."""


def count(value: Any) -> int | None:
    """A number of tokens: a number or its text; None for anything else, which is unknown."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if 0 <= value < LARGEST else None


def table(value: Any) -> Json:
    """An object, or an empty one where there is none."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """Text however it is wrapped: text, a number, a part, a list of parts, or nothing. Unreadable."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return msgspec.json.encode(value).decode()
    if isinstance(value, list):
        return "".join(map(text, value))
    for name in ("text", "content", "value"):
        if isinstance(value, dict) and name in value:
            return text(value[name])
    raise Unreadable(f"no text: {str(value)[:100]}")


def arguments(value: Any) -> str:
    """A call's arguments as text; nothing is an empty object."""
    if value is None or value == "":
        return "{}"
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def calls(given: Any, seed: str, taken: Collection[str]) -> list[Json]:
    """Tool calls in the normalised form, from OpenAI's objects.

    An id that is missing or `taken` is made, the same one each time that `seed` is. Unreadable for one without a name.
    """
    found: list[Json] = []
    used = set(taken)
    for index, each in enumerate([given] if isinstance(given, dict) else given or []):
        function = each.get("function") or each
        name, identity = function.get("name"), each.get("id")
        if not isinstance(name, str) or not name:
            raise Unreadable(f"a tool call without a name: {str(each)[:100]}")
        told = arguments(function.get("arguments"))
        identity = "" if identity is None else str(identity)
        if not identity or identity in used:
            identity = "call_" + content_id(seed, str(index), told)
        used.add(identity)
        found.append(tool_call(identity, name, told))
    return found


def taken(messages: Sequence[Json]) -> set[str]:
    """The ids of the calls that a conversation has."""
    return {str(call.get("id") or "") for message in messages for call in message.get("tool_calls") or []}


def answer(message: Json, finish: str, usage: Usage, stopped_by: str = "") -> Answer:
    """The answer of an endpoint; `usage` are tokens of the prompt, of those the cached ones, and of the completion."""
    made = message.get("tool_calls") or []
    if finish == "tool_calls" and not made:
        finish = "stop"
    named = [ToolCall(id=call["id"], name=call["function"]["name"]) for call in made]
    asked, cached, written = usage
    known = min(cached or 0, asked or 0)
    return Answer(Sampled(message, None, named, "external"), finish, known, asked, written, stopped_by)
