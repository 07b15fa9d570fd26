"""The output side of Gemini's API: a message as parts, and the chunks that build it up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from katcore.gateway.dialects import Reply, Request, object_of, pieces
from katcore.records import Json

FINISH_REASONS = {"stop": "STOP", "tool_calls": "STOP", "length": "MAX_TOKENS"}
SEPARATORS = {"\u2028".encode(): rb"\u2028", "\u2029".encode(): rb"\u2029"}
"""Line breaks of Unicode: Google's client for JavaScript ends an event's line there."""
EMPTY = {"text": ""}


def parts_of(message: Json) -> list[Json]:
    """An assistant's message as parts: thought, text, then its calls. At least one: SDKs forget a turn without."""
    thought, text = message.get("reasoning_content"), message.get("content")
    parts: list[Json] = [{"text": thought, "thought": True}] if thought else []
    parts += [{"text": text}] if text else []
    return parts + [_call(call) for call in message.get("tool_calls") or []] or [EMPTY]


def _call(call: Json) -> Json:
    function = call["function"]
    name, identity = function["name"], call["id"]
    if identity.startswith(f"{name}__"):  # which is taken off an id that comes in
        identity = f"{name}__{identity}"
    return {"functionCall": {"id": identity, "name": name, "args": object_of(function["arguments"])}}


def chunk_of(request: Request, identity: str, parts: list[Json], reply: Reply | None = None) -> Json:
    """A response with these parts: with a reply it is the last one, and has the reason and the usage."""
    candidate: Json = {"content": {"role": "model", "parts": parts}, "index": 0}
    made: Json = {"candidates": [candidate], "modelVersion": request.model, "responseId": identity}
    if reply is not None:
        candidate["finishReason"] = FINISH_REASONS.get(reply.finish_reason, "OTHER")
        made["usageMetadata"] = usage_of(reply)
    return made


def usage_of(reply: Reply) -> Json:
    """The tokens of a call; thoughts are among the candidates' ones, since they are not told apart."""
    cached = {"cachedContentTokenCount": reply.cached_tokens} if reply.cached_tokens else {}
    return {
        "promptTokenCount": reply.prompt_tokens,
        "candidatesTokenCount": reply.completion_tokens,
        "totalTokenCount": reply.prompt_tokens + reply.completion_tokens,
        **cached,
    }


class Chunks:
    """The stream of the API: chunks with a thought, text or a call each, the last one with the reason.

    With `alt=sse` they are events, else the elements of one JSON array.
    """

    def __init__(self, request: Request, identity: str, error: Callable[[str, str, int], Json]) -> None:
        self._request, self._identity, self._error = request, identity, error
        self._sent = {"reasoning_content": 0, "content": 0}
        self._count = 0

    def start(self) -> bytes:
        return b"\n" if self._request.sse else b"["  # something: the client is to have the head at once

    def keep_alive(self) -> bytes:
        return b"\n"  # no comment: Google's clients take one for data

    def delta(self, reasoning: str, text: str) -> bytes:
        return b"".join(map(self._chunk, self._more(reasoning, text)))

    def finish(self, reply: Reply) -> Iterator[bytes]:
        message, sent = reply.message, self._sent
        thought = (message.get("reasoning_content") or "")[sent["reasoning_content"] :]
        parts = list(self._more(thought, (message.get("content") or "")[sent["content"] :]))
        parts += [_call(call) for call in message.get("tool_calls") or []]
        for part in parts[:-1]:
            yield self._chunk(part)
        yield self._written(chunk_of(self._request, self._identity, parts[-1:] or [EMPTY], reply))
        yield b"" if self._request.sse else b"]"

    def fail(self, message: str, code: str, status: int) -> bytes:
        made = msgspec.json.encode(self._error(message, code, status))
        if self._request.sse:  # not as an event: clients look for it between them
            return made + b"\n\n"
        return (b"," if self._count else b"") + made + b"]"

    def _more(self, reasoning: str, text: str) -> Iterator[Json]:
        self._sent["reasoning_content"] += len(reasoning)
        self._sent["content"] += len(text)
        for piece in pieces(reasoning):
            yield {"text": piece, "thought": True}
        for piece in pieces(text):
            yield {"text": piece}

    def _chunk(self, part: Json) -> bytes:
        return self._written(chunk_of(self._request, self._identity, [part]))

    def _written(self, chunk: Json) -> bytes:
        made = msgspec.json.encode(chunk)
        for separator, escaped in SEPARATORS.items():
            made = made.replace(separator, escaped)
        self._count += 1
        if self._request.sse:
            return b"data: " + made + b"\n\n"
        return (b",\n" if self._count > 1 else b"") + made
