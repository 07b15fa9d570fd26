"""Anthropic's Messages API as an endpoint: what it is sent, and what it answers, whole or as events.

An agent that speaks the same API has its turns, tools, cache marks and other fields passed on as they came. Thinking
goes back only with the endpoint's own signatures: where an agent has lost them, from what was recorded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from katcore.engine import SamplingParams
from katcore.gateway.dialects import ANY, Request
from katcore.gateway.dialects.anthropic_messages import (
    ATTRIBUTION,
    FINISH_REASONS,
    SERVER_BLOCKS,
    assistant_of,
    blocks_of,
)
from katcore.gateway.external import reading
from katcore.gateway.external.events import decoded
from katcore.gateway.external.passing import CACHE, given, lost, others, sampling
from katcore.gateway.external.reading import Unreadable, count, table, text
from katcore.gateway.messages import text_of
from katcore.gateway.model import Answer
from katcore.gateway.passed_on import for_anthropic
from katcore.records import Json

PATH = "/v1/messages"
API = "Anthropic's API"
NATIVE = "anthropic"
NO_PARAMETERS: Json = {"type": "object", "properties": {}}
THINKING = ("thinking", "redacted_thinking")
LEAST_THINKING = 1024
"""The fewest tokens that may be allotted to thinking."""
BLOCKS = "content_blocks"
"""The field of a recorded message that has its blocks as they came, where thinking, text and calls are mixed."""
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[^,;]*)*;base64,")
_ODD = re.compile(r"[^A-Za-z0-9_-]")


def body(request: Request, params: SamplingParams, model: str, said: dict[str, None]) -> Json:
    """The request's body; `said` gets a line for each of the agent's wishes that is not passed on."""
    asked = given(request)
    made: Json = {"model": model or request.model, "max_tokens": params.max_new_tokens}
    turns = _native_turns(asked, request) if request.dialect == NATIVE else None
    if turns is not None:
        made |= _native(asked, request, said) | {"messages": turns}
    else:
        made |= _translated(asked, request, said)
    if request.forced and "tool_choice" not in made:
        named = {"type": "tool", "name": request.forced}
        made["tool_choice"] = {"type": "any"} if request.forced == ANY else named
    if asked.get("parallel_tool_calls") is False and made.get("tools"):
        made["tool_choice"] = {**made.get("tool_choice", {"type": "auto"}), "disable_parallel_tool_use": True}
    made |= {"stop_sequences": list(request.stop)} if request.stop else {}
    if not _thinks(made, params.max_new_tokens):
        return made | sampling(request, params)
    return {name: value for name, value in made.items() if name != "top_k"}  # thinking allows for no other sampling


def _thinks(made: Json, limit: int) -> bool:
    """Whether the request asks for thinking; the tokens for it are brought below the limit of the answer."""
    thinking = table(made.get("thinking"))
    budget = thinking.get("budget_tokens")
    if isinstance(budget, int) and budget >= limit:
        made["thinking"] = {**thinking, "budget_tokens": max(LEAST_THINKING, limit // 2)}
        if limit <= LEAST_THINKING:
            del made["thinking"]
    return table(made.get("thinking")).get("type") in ("enabled", "adaptive")


# ------------------------------------------------------------------ from agents of the same API


def _native(asked: Json, request: Request, said: dict[str, None]) -> Json:
    made = others(asked, said)
    system = asked.get("system")
    if isinstance(system, list):
        system = [block for block in system if not text_of([block]).startswith(ATTRIBUTION)]
    elif str(system or "").startswith(ATTRIBUTION):
        system = None
    made |= {"system": system} if system else {}
    tools = [tool for tool in asked.get("tools") or [] if tool.get("type", "custom") in ("custom", None)]
    if tools:
        made["tools"] = [{**tool, "input_schema": _schema(tool.get("input_schema"))} for tool in tools]
        made |= {"tool_choice": asked["tool_choice"]} if asked.get("tool_choice") else {}
    return made


def _native_turns(asked: Json, request: Request) -> list[Json] | None:
    """The agent's turns, its assistant's ones with the thinking that was recorded; None where they do not match."""
    written = [request.written.get(i) for i, each in enumerate(request.messages) if each["role"] == "assistant"]
    turns = asked.get("messages") or []
    if sum(turn.get("role") == "assistant" for turn in turns) != len(written):
        return None
    own = iter(written)
    made = []
    for turn in turns:
        blocks = turn["content"]
        if isinstance(blocks, list):
            blocks = [block for block in blocks if block.get("type") not in SERVER_BLOCKS]
        if turn["role"] == "assistant":
            blocks = _own_thinking(blocks, next(own))
        made += [{**turn, "content": blocks}] if blocks or turn["role"] != "assistant" else []
    return made


def _own_thinking(blocks: Any, written: Json | None) -> Any:
    """An assistant's content with the endpoint's own thinking: of `written`, else what is signed."""
    if written is None or isinstance(blocks, str):
        kept = blocks if isinstance(blocks, str) else [block for block in blocks if _signed(block)]
        return kept if written is None else _written_blocks(written)
    own = _written_blocks(written)
    marked = next((block[CACHE] for block in reversed(blocks) if block.get(CACHE)), None)
    if marked and own and own[-1]["type"] not in THINKING:
        own[-1] = {**own[-1], CACHE: marked}
    return own


def _signed(block: Json) -> bool:
    return block.get("type") not in THINKING or bool(block.get("signature") or block.get("data"))


def _written_blocks(message: Json) -> list[Json]:
    """The blocks that the endpoint wrote."""
    own = message.get(BLOCKS) or blocks_of(message)
    return [block for block in own if _signed(block)]


# ------------------------------------------------------------------ from agents of other APIs


def _translated(asked: Json, request: Request, said: dict[str, None]) -> Json:
    known = frozenset(["parallel_tool_calls", "response_format", "text"])
    if request.dialect and request.dialect != "gemini":
        lost(asked, known, API, said)
    opening = [block for m in request.messages if m["role"] in ("system", "developer") for block in _said(m)]
    made: Json = {}
    if opening:
        marked = any(CACHE in block for block in opening)
        made["system"] = opening if marked else "\n\n".join(block["text"] for block in opening)
    made["messages"] = _turns(request)
    if request.tools:
        functions = [tool for tool in asked.get("tools") or [] if "function" in tool]
        marks = {tool["function"].get("name"): tool.get(CACHE) for tool in functions}
        made["tools"] = [_tool(tool["function"], marks) for tool in request.tools]
    form = table(asked.get("response_format")) or table(table(asked.get("text")).get("format"))
    if form.get("type") == "json_schema":
        schema = (table(form.get("json_schema")) or form).get("schema")
        made["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    named = {"type": "any"} if request.forced == ANY else {"type": "tool", "name": request.forced}
    demanded = for_anthropic(request, named if request.forced else None)
    config = table(demanded.get("output_config")) | table(made.get("output_config"))
    return demanded | made | ({"output_config": config} if config else {})


def _tool(function: Json, marks: dict[Any, Any]) -> Json:
    described = {"description": function["description"]} if function.get("description") else {}
    marked = {CACHE: marks[function["name"]]} if marks.get(function["name"]) else {}
    return {"name": function["name"], **described, "input_schema": _schema(function.get("parameters")), **marked}


def _schema(given: Any) -> Json:
    """A schema of arguments, which this API wants of every tool, and with a type."""
    return {"type": "object", **given} if isinstance(given, dict) and given else NO_PARAMETERS


def _turns(request: Request) -> list[Json]:
    """Messages as turns of user and assistant that alternate; results and the user's text are one turn."""
    turns: list[Json] = []
    for index, message in enumerate(request.messages):
        if message["role"] in ("system", "developer"):
            continue
        role = "assistant" if message["role"] == "assistant" else "user"
        blocks = _blocks(message, request.written.get(index))
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
    return turns


def _blocks(message: Json, written: Json | None) -> list[Json]:
    if message["role"] == "assistant":
        own = _written_blocks(written) if written is not None else None
        plain = {**message, "content": text_of(message.get("content")), "reasoning_content": ""}
        return [_named(block) for block in own or filter(_signed, blocks_of(plain))]
    if message["role"] == "tool":
        error = {"is_error": True} if message.get("is_error") else {}
        blocks = _said(message)
        bare = all(block["type"] == "text" and CACHE not in block for block in blocks)
        content: Any = text_of(message.get("content")) if bare else blocks
        identity = _ODD.sub("_", str(message["tool_call_id"]))
        return [{"type": "tool_result", "tool_use_id": identity, "content": content, **error}]
    return _said(message)


def _named(block: Json) -> Json:
    """A block whose id this API takes: others write dots and colons in theirs."""
    return {**block, "id": _ODD.sub("_", str(block["id"]))} if block["type"] == "tool_use" else block


def _said(message: Json) -> list[Json]:
    """A message's text and images as blocks, with the cache marks that its parts or the message have; empty text has
    none."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": text_of(content)}]
    marked = {CACHE: message[CACHE]} if message.get(CACHE) else {}
    made: list[Json] = []
    for part in parts:
        own = {CACHE: part[CACHE]} if part.get(CACHE) else {}
        if part.get("type") == "image_url" and message["role"] not in ("system", "developer"):
            made.append({"type": "image", "source": _source(part), **own})
        elif said := text_of([part]):
            made.append({"type": "text", "text": said, **own})
    if made and marked:
        made[-1] |= marked
    return made


def _source(part: Json) -> Json:
    """Where an image is, as this API has it: in the request itself, or at an address."""
    url = str(table(part.get("image_url")).get("url") or "")
    if found := _DATA.match(url):
        return {"type": "base64", "media_type": found[1], "data": url[found.end() :]}
    return {"type": "url", "url": url}


# ------------------------------------------------------------------ answers


def answer(given: Json, request: Request, seed: str, said: dict[str, None]) -> Answer:
    """The answer in the normalised form. Raises Unreadable, and what odd shapes raise."""
    content = given["content"]
    blocks = content if isinstance(content, list) else [{"type": "text", "text": content}]
    read = [block for each in blocks if (block := _block(each)) is not None]
    called = [{"id": b.get("id"), "name": b.get("name"), "arguments": b.get("input")} for b in read if _is_call(b)]
    made = iter(reading.calls(called, seed, reading.taken(request.messages)))
    for block in filter(_is_call, read):
        block["id"] = next(made)["id"]
    message = assistant_of(read)
    if message.get("thinking_blocks") and _mixed(read):
        message[BLOCKS] = read
    word = str(given.get("stop_reason") or "end_turn")
    if word not in FINISH_REASONS:
        said[f"the endpoint ends answers with {word[:40]!r}, which is taken for end_turn"] = None
    usage = table(given.get("usage"))
    cached = count(usage.get("cache_read_input_tokens")) or 0
    asked = count(usage.get("input_tokens"))
    if asked is not None:
        asked += cached + (count(usage.get("cache_creation_input_tokens")) or 0)
    counts = (asked, cached, count(usage.get("output_tokens")))
    return reading.answer(message, FINISH_REASONS.get(word, "stop"), counts, str(given.get("stop_sequence") or ""))


def _is_call(block: Json) -> bool:
    return bool(block["type"] == "tool_use")


def _block(block: Any) -> Json | None:
    """A block as this API writes it, from one that is nearly so; None for what the provider's own tools did."""
    if not isinstance(block, dict):
        return {"type": "text", "text": text(block)}
    kind = block.get("type") or "text"
    if kind in SERVER_BLOCKS:
        return None
    if kind == "text":
        return {"type": "text", "text": text(block.get("text"))}
    if kind == "thinking":
        return {**block, "thinking": text(block.get("thinking"))}
    if kind == "tool_use":
        return {**block, "input": _input(block.get("input"))}
    if kind == "redacted_thinking":
        return dict(block)
    raise Unreadable(f"content of type {kind}")


def _input(value: Any) -> Any:
    """A call's arguments; text that holds an object is that object."""
    if not isinstance(value, str):
        return value
    try:
        found = decoded(value.encode()) if value else {}
    except Unreadable:
        return value
    return found if isinstance(found, dict) else value


def _mixed(blocks: list[Json]) -> bool:
    """Whether blocks stand in another order than thinking, text, calls."""
    order = [0 if block["type"] in THINKING else 1 if block["type"] == "text" else 2 for block in blocks]
    return order != sorted(order)


def assembled(events: Iterator[Any]) -> Json:
    """The answer that a stream of events makes. Unreadable when it ends before its end."""
    made: Json = {"content": [], "usage": {}}
    blocks: dict[Any, Json] = {}
    for event in events:
        kind = table(event).get("type")
        if kind == "error":
            return {"error": event["error"]}
        if kind == "message_start":
            made |= {"usage": dict(table(event["message"].get("usage")))}
        elif kind == "content_block_start":
            blocks[event["index"]] = dict(event["content_block"])
        elif kind == "content_block_delta":
            _add(blocks[event["index"]], event["delta"])
        elif kind == "message_delta":
            made |= table(event.get("delta"))
            made["usage"] |= {name: value for name, value in table(event.get("usage")).items() if value is not None}
        elif kind == "message_stop":
            return made | {"content": [_whole(blocks[index]) for index in sorted(blocks)]}
    raise Unreadable("the stream was cut")


def _add(block: Json, delta: Json) -> None:
    name = str(delta.get("type")).removesuffix("_delta")
    if name in ("text", "thinking", "signature"):
        block[name] = text(block.get(name)) + text(delta.get(name))
    elif delta.get("type") == "input_json_delta":
        block["partial"] = text(block.get("partial")) + text(delta.get("partial_json"))


def _whole(block: Json) -> Json:
    """A block that has ended; the pieces of a call's arguments are its input."""
    partial = block.pop("partial", "")
    return {**block, "input": partial} if partial else block
