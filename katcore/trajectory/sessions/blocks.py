"""Anthropic's content blocks, as Claude Code and Cline log them, in the OpenAI form.

What is no text becomes its kind in brackets: no image leaves a developer's disk. Thinking is kept as text, without the
provider's signature.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from katcore.records import Json

FINISH_REASONS = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length"}


def blocks_of(content: Any) -> list[Json]:
    """A message's content as blocks."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return [block for block in content or [] if isinstance(block, dict)]


def text_of(block: Json) -> str:
    """What a block says."""
    if isinstance(text := block.get("text"), str):
        return text
    return f"[{block.get('type') or 'unknown'}]"


def answer_of(blocks: Iterable[Json]) -> Json:
    """An assistant's message."""
    text, thinking, calls = "", "", []
    for block in blocks:
        kind = block.get("type")
        if kind in ("thinking", "redacted_thinking"):
            thinking += str(block.get("thinking") or "")
        elif kind == "tool_use":
            written = json.dumps(block.get("input") or {}, ensure_ascii=False, separators=(",", ":"))
            function = {"name": str(block.get("name") or ""), "arguments": written}
            calls.append({"id": str(block.get("id") or ""), "type": "function", "function": function})
        else:
            text += text_of(block)
    message: Json = {"role": "assistant", "content": text if text or not calls else None}
    message |= {"reasoning_content": thinking} if thinking else {}
    return message | ({"tool_calls": calls} if calls else {})


def result_of(block: Json) -> Json:
    """A tool's message of a `tool_result`."""
    content = block.get("content")
    blocks = blocks_of(content)
    if blocks and not any("type" in each for each in blocks):  # Cline's: the model is shown their JSON
        content = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    text = content if isinstance(content, str) else "".join(map(text_of, blocks))
    error = {"is_error": True} if block.get("is_error") else {}
    return {"role": "tool", "tool_call_id": str(block.get("tool_use_id") or ""), "content": text, **error}


def turn_of(blocks: Iterable[Json], role: str = "user") -> list[Json]:
    """A user's turn as messages: results first, then what is said."""
    given = list(blocks)
    results = [result_of(block) for block in given if block.get("type") == "tool_result"]
    texts = [text_of(block) for block in given if block.get("type") != "tool_result"]
    return [*results, *([{"role": role, "content": "\n\n".join(texts)}] if texts else [])]


def usage_of(given: Any) -> dict[str, int]:
    """The tokens of a call; {} where they are not told."""
    usage = given if isinstance(given, dict) else {}
    read, made = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    size, said = _count(usage, "input_tokens") + read + made, _count(usage, "output_tokens")
    return {"prompt_tokens": size, "completion_tokens": said, "cached_tokens": read} if size or said else {}


def _count(usage: Json, name: str) -> int:
    found = usage.get(name)
    return found if isinstance(found, int) else 0
