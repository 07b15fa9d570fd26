"""The output side of OpenAI Responses: a message as items, and the events that build them up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from katcore.gateway.dialects import Reply, Request, event, pieces
from katcore.records import Json


def items_of(
    message: Json, identity: str, custom: frozenset[str] = frozenset(), namespaces: Mapping[str, str] | None = None
) -> list[Json]:
    """Reasoning, text and calls of an assistant's message, each an item."""
    items: list[Json] = []
    if message.get("reasoning_content"):
        items.append(_reasoning(f"rs_{identity}", message["reasoning_content"]))
    if message.get("content") or not (items or message.get("tool_calls")):
        refused = bool(message.get("refusal")) and message.get("content") == message["refusal"]
        items.append(_said(f"msg_{identity}", message.get("content") or "", refused))
    for index, call in enumerate(message.get("tool_calls") or []):
        item = _called(f"fc_{identity}_{index}", call, custom)
        if space := (namespaces or {}).get(item["name"]):
            item["namespace"] = space
        items.append(item)
    return items


def _reasoning(identity: str, text: str) -> Json:
    content = [{"type": "reasoning_text", "text": text}]
    return {"id": identity, "type": "reasoning", "summary": [], "content": content, "status": "completed"}


def _said(identity: str, text: str, refused: bool = False) -> Json:
    part: Json = {"type": "output_text", "text": text, "annotations": []}
    return {
        "id": identity,
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "refusal", "refusal": text} if refused else part],
    }


def _called(identity: str, call: Json, custom: frozenset[str]) -> Json:
    function = call["function"]
    head = {"id": identity, "call_id": call["id"], "name": function["name"], "status": "completed"}
    if function["name"] in custom:
        return {"type": "custom_tool_call", **head, "input": _input(function["arguments"])}
    return {"type": "function_call", **head, "arguments": function["arguments"]}


def _input(arguments: str) -> str:
    try:
        given = json.loads(arguments)
    except ValueError:
        return arguments
    return str(given["input"]) if isinstance(given, dict) and "input" in given else arguments


def response_of(request: Request, identity: str, items: list[Json], reply: Reply | None = None) -> Json:
    """A response object: with a reply it has ended, without one it is under way."""
    cut = "" if reply is None else _cut(reply)
    status = "in_progress" if reply is None else "incomplete" if cut else "completed"
    return {
        "id": f"resp_{identity}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": cut} if cut else None,
        "instructions": None,
        "metadata": {},
        "model": request.model,
        "output": items,
        "parallel_tool_calls": True,
        "temperature": None,
        "top_p": None,
        "tool_choice": "auto",
        "tools": [],
        "usage": None if reply is None else _usage(reply),
    }


def _cut(reply: Reply) -> str:
    """Why an answer is not complete, empty where it is; a refusal in words is."""
    if reply.finish_reason == "refusal" and not reply.message.get("refusal"):
        return "content_filter"
    return {"length": "max_output_tokens", "content_filter": "content_filter"}.get(reply.finish_reason, "")


def _usage(reply: Reply) -> Json:
    return {
        "input_tokens": reply.prompt_tokens,
        "input_tokens_details": {"cached_tokens": reply.cached_tokens},
        "output_tokens": reply.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
    }


class ResponseEvents:
    """The stream of the API: created, in_progress, for each item added, its parts and deltas, done; then completed."""

    def __init__(self, request: Request, identity: str) -> None:
        self._request, self._identity = request, identity
        self._number = 0
        self._index = -1
        self._open = ""
        self._begun: set[str] = set()
        self._texts = {"reasoning": "", "message": ""}

    def start(self) -> bytes:
        return self._state("response.created") + self._state("response.in_progress")

    def keep_alive(self) -> bytes:
        return self._state("response.in_progress")  # a comment would not count: clients time events

    def delta(self, reasoning: str, text: str) -> bytes:
        return b"".join([*self._more("reasoning", reasoning), *self._more("message", text)])

    def finish(self, reply: Reply) -> Iterator[bytes]:
        items = items_of(reply.message, reply.id, self._request.custom, self._request.namespaces)
        for item in items:
            if item["type"] == "message" and item["content"][0]["type"] == "refusal":
                yield from self._refusal(item)
            elif item["type"] in self._texts:
                kind = str(item["type"])
                text = item["content"][0]["text"]
                yield from self._more(kind, text[len(self._texts[kind]) :], force=kind not in self._begun)
                if self._open == kind:
                    yield from self._close()
            else:
                yield from self._whole_call(item)
        ended = response_of(self._request, self._identity, items, reply)
        yield self._event(f"response.{ended['status']}", response=ended)

    def fail(self, message: str, code: str, status: int) -> bytes:
        failed = response_of(self._request, self._identity, [])
        failed |= {"status": "failed", "error": {"code": code, "message": message}}
        return self._event("response.failed", response=failed)

    # ------------------------------------------------------------------ items of text

    def _more(self, kind: str, text: str, force: bool = False) -> Iterator[bytes]:
        if not text and not force:
            return
        if self._open != kind:
            yield from self._close()
            yield from self._begin(kind)
        self._texts[kind] += text
        name = "reasoning_text" if kind == "reasoning" else "output_text"
        more: Json = {} if kind == "reasoning" else {"logprobs": []}
        for piece in pieces(text):
            yield self._event(f"response.{name}.delta", **self._place(), delta=piece, **more)

    def _begin(self, kind: str) -> Iterator[bytes]:
        self._open, self._index = kind, self._index + 1
        self._begun.add(kind)
        item = {**self._item(kind, ""), "content": [], "status": "in_progress"}
        yield self._event("response.output_item.added", output_index=self._index, item=item)
        yield self._event("response.content_part.added", **self._place(), part=self._item(kind, "")["content"][0])

    def _close(self) -> Iterator[bytes]:
        if not self._open:
            return
        kind, text = self._open, self._texts[self._open]
        name = "reasoning_text" if kind == "reasoning" else "output_text"
        more: Json = {} if kind == "reasoning" else {"logprobs": []}
        item = self._item(kind, text)
        yield self._event(f"response.{name}.done", **self._place(), text=text, **more)
        yield self._event("response.content_part.done", **self._place(), part=item["content"][0])
        yield self._event("response.output_item.done", output_index=self._index, item=item)
        self._open = ""

    def _item(self, kind: str, text: str) -> Json:
        if kind == "reasoning":
            return _reasoning(f"rs_{self._identity}", text)
        return _said(f"msg_{self._identity}", text)

    def _place(self) -> Json:
        identity = self._item(self._open, "")["id"]
        return {"item_id": identity, "output_index": self._index, "content_index": 0}

    def _refusal(self, item: Json) -> Iterator[bytes]:
        yield from self._close()
        self._index += 1
        part = item["content"][0]
        begun = {**item, "content": [], "status": "in_progress"}
        place = {"item_id": item["id"], "output_index": self._index, "content_index": 0}
        yield self._event("response.output_item.added", output_index=self._index, item=begun)
        yield self._event("response.content_part.added", **place, part={**part, "refusal": ""})
        for piece in pieces(part["refusal"]):
            yield self._event("response.refusal.delta", **place, delta=piece)
        yield self._event("response.refusal.done", **place, refusal=part["refusal"])
        yield self._event("response.content_part.done", **place, part=part)
        yield self._event("response.output_item.done", output_index=self._index, item=item)

    # ------------------------------------------------------------------ calls

    def _whole_call(self, item: Json) -> Iterator[bytes]:
        yield from self._close()
        self._index += 1
        field, name = "arguments", "function_call_arguments"
        if item["type"] == "custom_tool_call":
            field, name = "input", "custom_tool_call_input"
        begun = {**item, field: "", "status": "in_progress"}
        yield self._event("response.output_item.added", output_index=self._index, item=begun)
        place = {"item_id": item["id"], "output_index": self._index}
        for piece in pieces(item[field]):
            yield self._event(f"response.{name}.delta", **place, delta=piece)
        named = {"name": item["name"]} if field == "arguments" else {}
        yield self._event(f"response.{name}.done", **place, **{field: item[field]}, **named)
        yield self._event("response.output_item.done", output_index=self._index, item=item)

    def _state(self, kind: str) -> bytes:
        return self._event(kind, response=response_of(self._request, self._identity, []))

    def _event(self, kind: str, **data: Any) -> bytes:
        made = event({"type": kind, "sequence_number": self._number, **data}, kind)
        self._number += 1
        return made
