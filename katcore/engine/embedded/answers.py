"""Answers of the embedded engine in SGLang's shapes: whole, and as server-sent events while a completion grows.

In: sequences, finished or not. Out: JSON tables and event bytes. Events are incremental (SGLang's own are with
`--incremental-streaming-output`): ids and log-probs of each are those since the last one.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from katcore.engine.embedded.worker import Sequence
from katcore.model.folder import ChatModel

END = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Answers:
    """Writes the answers of a request in the form that it asks for."""

    chat: ChatModel | None
    logprobs: bool
    trim_stop: bool
    score_from: int | None

    def whole(self, sequence: Sequence) -> dict[str, Any]:
        """The answer for a finished sequence. Raises HTTP 500 when its step broke."""
        if sequence.error:
            raise web.HTTPInternalServerError(text=error(f"generation failed: {sequence.error}"))
        return self._table(sequence, 0, len(sequence.logprobs), True)

    def event(self, sequence: Sequence, start: int, count: int, ended: bool) -> bytes:
        """The event with tokens `start` up to `count` of a sequence; the last event of a broken one has its error."""
        if sequence.error:
            return _event(orjson.loads(error(f"generation failed: {sequence.error}", code=500)))
        return _event(self._table(sequence, start, count, ended))

    def _table(self, sequence: Sequence, start: int, count: int, ended: bool) -> dict[str, Any]:
        ids, logprobs = sequence.output[start:count], sequence.logprobs[start:count]
        versions = [each for each in sequence.versions if each[0] < count]
        ends = [at for at, _ in versions[1:]] + [count]
        meta: dict[str, Any] = {
            "id": sequence.rid,
            "finish_reason": _finish_reason(sequence) if ended else None,
            "prompt_tokens": len(sequence.prompt),
            "completion_tokens": count,
            "cached_tokens": sequence.cached or 0,
            "weight_version": versions[-1][1] if versions else sequence.version,
            "weight_versions": [{"version": name, "start": at, "end": end} for (at, name), end in zip(versions, ends)],
            "e2e_latency": time.monotonic() - sequence.started,
        }
        if self.logprobs:
            meta["output_token_logprobs"] = [[logprob, token, None] for logprob, token in zip(logprobs, ids)]
            if self.score_from is not None:
                meta["input_token_logprobs"] = _scored(sequence, self.score_from)
        return {"text": self._text(sequence, start, ids, ended), "output_ids": ids, "meta_info": meta}

    def _text(self, sequence: Sequence, start: int, ids: list[int], ended: bool) -> str:
        """The text of the ids; what ended the completion is cut off, unless it was asked for."""
        if self.chat is None:
            return ""
        if not ended or sequence.finish != "stop" or not self.trim_stop:
            return self.chat.decode(ids)
        if not isinstance(sequence.matched, str):
            return self.chat.decode(ids[:-1])
        whole = self.chat.decode(sequence.output)
        return whole[len(self.chat.decode(sequence.output[:start])) : whole.rfind(sequence.matched)]


def _scored(sequence: Sequence, start: int) -> list[list[Any]]:
    """SGLang's list of prompt log-probs: one entry for each token from `start` on, the first without a value."""
    ids = sequence.prompt[start:]
    return [[logprob, token, None] for logprob, token in zip([None, *sequence.scores], ids)]


def _finish_reason(sequence: Sequence) -> dict[str, Any]:
    if sequence.finish == "stop":
        return {"type": "stop", "matched": sequence.matched}
    if sequence.finish == "length":
        return {"type": "length", "length": len(sequence.output)}
    return {"type": "abort", "message": "Aborted by a request or a pause."}


def _event(table: Any) -> bytes:
    return b"data: " + orjson.dumps(table) + b"\n\n"


def error(message: str, code: int = 400) -> str:
    """The JSON body of an error."""
    return orjson.dumps({"error": {"message": message, "code": code}}).decode()


def json(value: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(body=orjson.dumps(value), status=status, content_type="application/json")
