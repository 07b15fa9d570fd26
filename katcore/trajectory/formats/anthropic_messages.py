"""Anthropic Messages: `system`, `messages` of content blocks, `tools` with `input_schema`, and `metadata`.

In: the OpenAI form. Out: results of tools are blocks of the user's next message, ahead of what the user says; thinking,
text and calls are blocks of the assistant's. Blocks that the OpenAI form has no word for (images, signed thinking)
stay what they are. A system message in mid-conversation becomes the user's: the API has no place for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from katcore.records import Call, Json, Node, Trajectory
from katcore.trajectory.formats import View
from katcore.trajectory.formats.kept import OWN, append, head_of, own_of, rows_of, trajectory_of
from katcore.trajectory.paths import messages_of, tools_of

NAME = "anthropic"
RAW = "__raw_arguments__"
"""The only key of an `input` whose call had arguments that are no JSON object; its value is their text."""


def to_row(view: View) -> Json:
    """The row of a path: its messages and tools."""
    messages = messages_of(view.path)
    start = 0
    while start < len(messages) and messages[start]["role"] in ("system", "developer"):
        start += 1
    texts = [_texts(message.get("content")) for message in messages[:start]]
    row: Json = {"system": "\n\n".join(texts)} if texts else {}
    row["messages"] = list(_written(messages[start:]))
    if tools := tools_of(view.path):
        row["tools"] = [_tool(each.get("function") or each) for each in tools]
    return row | {"metadata": {OWN: head_of(view, NAME)}}


def from_row(row: Json) -> Trajectory:
    """The trajectory, of text without tokens, in a row."""
    nodes: list[Node] = []
    calls: list[Call] = []
    tools = [_function(each) for each in rows_of(row.get("tools"), "tools")]
    system = [{"role": "system", "content": _texts(row["system"])}] if row.get("system") else []
    for message in [*system, *_read(rows_of(row["messages"], "messages"))]:
        append(nodes, calls, message if nodes or not tools else message | {"tools": tools}, {}, origin="external")
    return trajectory_of(NAME, row, own_of(row.get("metadata")), nodes, calls, model=row.get("model"))


# ------------------------------------------------------------------ out


def _written(messages: Iterable[Json]) -> Iterator[Json]:
    results: list[Json] = []
    for message in messages:
        if message["role"] == "tool":
            results.append(_result(message))
            continue
        if message["role"] != "assistant":
            content = message.get("content")
            blocks = [*results, *_blocks(content)]
            yield {"role": "user", "content": blocks if results or isinstance(content, list) else content or ""}
        else:
            if results:
                yield {"role": "user", "content": results}
            yield _assistant(message)
        results = []
    if results:
        yield {"role": "user", "content": results}


def _result(message: Json) -> Json:
    content = message.get("content")
    content = _blocks(content) if isinstance(content, list) else content or ""
    block = {"type": "tool_result", "tool_use_id": message.get("tool_call_id") or "", "content": content}
    return block | ({"is_error": True} if message.get("is_error") else {})


def _assistant(message: Json) -> Json:
    blocks: list[Json] = list(message.get("thinking_blocks") or [])
    if not blocks and message.get("reasoning_content"):
        blocks.append({"type": "thinking", "thinking": message["reasoning_content"], "signature": ""})
    content = message.get("content")
    if not blocks and not message.get("tool_calls") and not isinstance(content, list):
        return {"role": "assistant", "content": content or ""}
    blocks += _blocks(content)
    for call in message.get("tool_calls") or []:
        function = call["function"]
        given = {"id": call.get("id") or "", "name": function["name"], "input": _input(function.get("arguments"))}
        blocks.append({"type": "tool_use", **given})
    return {"role": "assistant", "content": blocks}


def _blocks(content: Any) -> list[Json]:
    """A message's content as a list of blocks."""
    if not isinstance(content, list):
        return [{"type": "text", "text": content}] if content else []
    return [_image(part["image_url"]["url"]) if part.get("type") == "image_url" else part for part in content]


def _image(url: str) -> Json:
    kind, comma, data = url.removeprefix("data:").partition(";base64,")
    if url.startswith("data:") and comma:
        return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}}
    return {"type": "image", "source": {"type": "url", "url": url}}


def _input(arguments: Any) -> Json:
    try:
        value = json.loads(arguments or "{}") if isinstance(arguments, str) or not arguments else arguments
    except ValueError:
        value = None
    return value if isinstance(value, dict) else {RAW: arguments}


def _tool(function: Json) -> Json:
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    described = {"description": function["description"]} if function.get("description") else {}
    return {"name": function["name"], **described, "input_schema": schema}


# ------------------------------------------------------------------ in


def _read(messages: Iterable[Json]) -> Iterator[Json]:
    for message in messages:
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else rows_of(content, "content")
        if message["role"] == "assistant":
            yield _answer(blocks)
            continue
        said = [block for block in blocks if block.get("type") != "tool_result"]
        for block in blocks:
            if block.get("type") == "tool_result":
                error = {"is_error": True} if block.get("is_error") else {}
                known = {"role": "tool", "tool_call_id": block["tool_use_id"]}
                yield {**known, "content": _content(block.get("content") or ""), **error}
        if said or not blocks:
            yield {"role": message["role"], "content": _content(said)}


def _answer(blocks: list[Json]) -> Json:
    thinking = [block for block in blocks if block.get("type") in ("thinking", "redacted_thinking")]
    calls = [
        {"id": block["id"], "type": "function", "function": {"name": block["name"], "arguments": _arguments(block)}}
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    rest = [block for block in blocks if block not in thinking and block.get("type") != "tool_use"]
    message: Json = {"role": "assistant", "content": _content(rest) or (None if calls else "")}
    if thinking:
        message["reasoning_content"] = "".join(str(block.get("thinking") or "") for block in thinking)
    if any(block.get("signature") or block.get("data") for block in thinking):
        message["thinking_blocks"] = thinking
    return message | ({"tool_calls": calls} if calls else {})


def _arguments(block: Json) -> str:
    given = block.get("input") or {}
    if isinstance(given, dict) and list(given) == [RAW] and isinstance(given[RAW], str):
        return str(given[RAW])
    return json.dumps(given, ensure_ascii=False, separators=(",", ":"))


def _content(content: Any) -> Any:
    """Blocks as content: a string where all is text, else parts: images by their address, other blocks unchanged."""
    if not isinstance(content, list):
        return content
    if all(block.get("type") == "text" for block in content):
        return "\n\n".join(str(block["text"]) for block in content)
    return [_part(block) for block in content]


def _part(block: Json) -> Json:
    source = block.get("source") or {}
    if block.get("type") == "image" and source.get("type") == "url":
        return {"type": "image_url", "image_url": {"url": source["url"]}}
    if block.get("type") == "image" and source.get("type") == "base64":
        return {"type": "image_url", "image_url": {"url": f"data:{source['media_type']};base64,{source['data']}"}}
    return block


def _texts(content: Any) -> str:
    found = _content(content)
    return found if isinstance(found, str) else json.dumps(found or "")


def _function(tool: Json) -> Json:
    function = {"name": tool["name"]}
    if tool.get("description"):
        function["description"] = tool["description"]
    return {"type": "function", "function": function | {"parameters": tool.get("input_schema") or {}}}
