"""What a model wrote, as an OpenAI assistant message: reasoning, content and Hermes-style tool calls.

In: the text of one completion without its stop token. Out: the message and where each call stands in the text.
Malformed calls are kept with their raw text and a marker; parsing never fails. Token spans are `folder.py`'s.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from katcore.records import content_id

_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_THINK = re.compile(r"\s*<think>\n?(.*?)(?:\n?</think>(?:\n\n|\n|)|\Z)", re.DOTALL)
_NAME = re.compile(r'"name"\s*:\s*"((?:[^"\\]|\\.)*)"')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:\s*(.*?)\s*\}?\s*\Z', re.DOTALL)
_SPACE = re.compile(r"\s*")


@dataclass(frozen=True)
class TextCall:
    """One call in a text: `arguments` is the JSON object as it was written; `start`, `end` count characters."""

    id: str
    name: str
    arguments: str
    start: int
    end: int
    valid: bool


def parse_text(text: str, call_seed: str = "", think: bool = False) -> tuple[dict[str, Any], list[TextCall]]:
    """The assistant message that `text` stands for, and its calls.

    Call ids depend on `call_seed`, the place and the text; give a seed of your own per model call to make them unique.
    `think` says that the prompt already opened a `<think>` block.
    """
    reasoning, begin = _reasoning(text, think)
    matches = list(_CALL.finditer(text, begin))
    calls = [_call(match, call_seed, index) for index, match in enumerate(matches)]
    message: dict[str, Any] = {"role": "assistant", "content": _content(text, begin, matches)}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["content"] = message["content"] or None
        message["tool_calls"] = [_openai(call) for call in calls]
    return message, calls


def _reasoning(text: str, think: bool) -> tuple[str, int]:
    if think and "<think>" not in text:
        head, closed, _ = text.partition("</think>")
        return head.strip("\n"), len(head) + len(closed)
    match = _THINK.match(text)
    return (match[1], match.end()) if match else ("", 0)


def _content(text: str, begin: int, matches: list[re.Match[str]]) -> str:
    """What stands outside the calls; the one newline that the template puts before a call is not content."""
    parts = []
    for match in matches:
        parts.append(text[begin : match.start()].removesuffix("\n"))
        begin = match.end()
    parts.append(text[begin:])
    return "".join(parts)


def _call(match: re.Match[str], seed: str, index: int) -> TextCall:
    body = match[1].strip()
    name, arguments, valid = _function(body)
    identity = "call_" + content_id(seed, str(index), body)
    return TextCall(identity, name, arguments, match.start(), match.end(), valid)


def _openai(call: TextCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _function(body: str) -> tuple[str, str, bool]:
    """Name, arguments as written, and whether it is a well-formed call; the raw text where it is not."""
    members = _members(body)
    if members is not None:
        name = members.get("name", (None, ""))[0]
        value, raw = members.get("arguments") or members.get("parameters") or ({}, "{}")
        if isinstance(name, str) and name and isinstance(value, dict):
            return name, raw, True
    name, arguments = _NAME.search(body), _ARGUMENTS.search(body)
    return (name[1] if name else ""), (arguments[1] if name and arguments else body), False


def _members(body: str) -> dict[str, tuple[Any, str]] | None:
    """The top-level members of one JSON object with each value's own text, None when it is malformed."""
    decoder = json.JSONDecoder()
    members: dict[str, tuple[Any, str]] = {}
    try:
        if not isinstance(decoder.decode(body), dict):
            return None
        at = _skip(body, 1)
        while body[at] != "}":
            key, at = decoder.raw_decode(body, at)
            start = _skip(body, _skip(body, at) + 1)
            value, at = decoder.raw_decode(body, start)
            members[key] = value, body[start:at]
            at = _skip(body, at)
            at = _skip(body, at + 1) if body[at] == "," else at
    except (ValueError, RecursionError):
        return None
    return members


def _skip(body: str, at: int) -> int:
    match = _SPACE.match(body, at)
    return match.end() if match else at
