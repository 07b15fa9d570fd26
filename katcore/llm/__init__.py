"""One client for every OpenAI-compatible endpoint that writes or judges: retries, a budget, a cache on disk, JSON out.

In: messages and sampling parameters. Out: the text of the answer, or a value of a given type that its JSON was checked
against. The same request is sent once on this machine: its answer lies under `llm/` in the cache. Keys are read from
the environment and never kept. Rollouts do not come through here: their calls go through the gateway.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec

from katcore.disk.cache import cache_dir, digest_of, locked
from katcore.disk.whole import write_whole
from katcore.errors import EngineError, UsageError
from katcore.records import Json

VERSION = "llm/1"
"""A part of every cached answer's name, so that another version finds none of them."""
KEY_VARIABLE = "OPENAI_API_KEY"

T = TypeVar("T")


class BudgetSpent(EngineError):
    """The calls or tokens that this client may use are used up."""


class BadAnswer(EngineError):
    """The endpoint answered, and the answer is not what was asked for."""


class Reply(msgspec.Struct, kw_only=True):
    """One answer. `usage`: prompt_tokens and completion_tokens as the endpoint counts them."""

    text: str
    finish_reason: str = ""
    usage: dict[str, int] = {}


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    usage: Json | None = None


@dataclass
class Budget:
    """The calls and tokens that may be spent, 0 for no limit; shared by threads. Cached answers cost nothing."""

    calls: int = 0
    tokens: int = 0
    spent_calls: int = 0
    spent_tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def reserve(self) -> None:
        """Count one call before it is made. BudgetSpent."""
        with self._lock:
            if self.calls and self.spent_calls >= self.calls:
                raise BudgetSpent(f"{self.calls} model calls are used up")
            if self.tokens and self.spent_tokens >= self.tokens:
                raise BudgetSpent(f"{self.tokens} tokens are used up")
            self.spent_calls += 1

    def charge(self, usage: dict[str, int]) -> None:
        """Count the tokens of a call that was made."""
        with self._lock:
            self.spent_tokens += usage.get("prompt_tokens", 0) + usage.get("completion_tokens", 0)

    def __getstate__(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("calls", "tokens", "spent_calls", "spent_tokens")}

    def __setstate__(self, state: dict[str, int]) -> None:
        """A copy on another machine of a cluster has a budget of its own."""
        self.__dict__.update(state, _lock=threading.Lock())


@dataclass
class Client:
    """An endpoint whose address ends in `/v1`, and the model to ask there."""

    url: str
    model: str
    key_variable: str = KEY_VARIABLE
    timeout_s: float = 300.0
    attempts: int = 5
    first_pause_s: float = 0.5
    reuse: bool = True
    budget: Budget = field(default_factory=Budget)

    @classmethod
    def named(cls, engine: str, model: str, **settings: Any) -> Client:
        """The client of an engine as it is named everywhere, `openai:URL`. UsageError."""
        kind, _, url = engine.partition(":")
        if kind != "openai" or not url.startswith(("http://", "https://")):
            raise UsageError(f"no endpoint for judging or writing: {engine!r}", hint="openai:http://HOST:PORT/v1")
        if not model:
            raise UsageError(f"{engine} needs the name of a model")
        return cls(url.rstrip("/"), model, **settings)

    def ask(self, messages: Sequence[Json], **parameters: Any) -> Reply:
        """One answer, from the cache when the same was asked before. EngineError after retries, BudgetSpent."""
        body = {"model": self.model, "messages": list(messages), **parameters}
        final = cache_dir("llm") / digest_of(VERSION, self.url, msgspec.json.encode(body, order="sorted"))
        with locked(final):
            if self.reuse and final.is_file():
                return msgspec.json.decode(final.read_bytes(), type=Reply)
            reply = self._post(body)
            write_whole(final, msgspec.json.encode(reply))
        return reply

    def json(self, messages: Sequence[Json], kind: type[T], *, tries: int = 3, **parameters: Any) -> T:
        """An answer that is one JSON value of that type; a malformed one is asked for again, told why. BadAnswer."""
        asked = list(messages)
        problem = ""
        for _ in range(tries):
            reply = self.ask(asked, **{"response_format": {"type": "json_object"}, **parameters})
            try:
                return msgspec.json.decode(json_in(reply.text).encode(), type=kind)
            except (msgspec.DecodeError, msgspec.ValidationError) as error:
                problem = f"{reply.finish_reason or 'stop'}: {error}"
            asked = [
                *messages,
                {"role": "assistant", "content": reply.text},
                {"role": "user", "content": f"That is not the JSON that was asked for ({problem}). JSON only."},
            ]
        raise BadAnswer(f"{self.model}: no valid JSON in {tries} answers ({problem})")

    def _post(self, body: Json) -> Reply:
        """The endpoint's reply, with retries; a field that the endpoint does not know is left out once it says so."""
        status, data = self._sent(body)
        if status == 400 and "response_format" in body and "response_format" in data:
            status, data = self._sent({name: value for name, value in body.items() if name != "response_format"})
        if status != 200:
            raise EngineError(f"{self.model}: answered {status}: {data[:300]}")
        reply = _reply(data, self.model)
        self.budget.charge(reply.usage)
        return reply

    def _sent(self, body: Json) -> tuple[int, str]:
        """Status and text of the last answer. EngineError where none came, BudgetSpent."""
        import requests

        from katcore.llm.retries import Retries, post

        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        self.budget.reserve()
        retries = Retries.of(self.attempts, self.first_pause_s, self.budget.reserve)
        url, sent = self.url + "/chat/completions", msgspec.json.encode(body)
        try:
            answer = post(url, sent, headers, self.timeout_s, retries)
        except requests.RequestException as error:
            last = getattr(error.args[0] if error.args else None, "reason", error)
            raise EngineError(f"{self.model}: does not answer ({type(last).__name__})") from None
        return answer.status_code, answer.content.decode("utf-8", "replace")


def json_in(text: str) -> str:
    """The JSON in an answer: what a model puts around it (thinking, a fence, a sentence) is left out."""
    text = text.rpartition("</think>")[2].strip()
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    if not starts:
        return text
    start = min(starts)
    end = text.rfind("}" if text[start] == "{" else "]")
    return text[start : end + 1] if end > start else text[start:]


def _reply(data: str, name: str) -> Reply:
    try:
        answer = msgspec.json.decode(data.encode(), type=_Answer)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadAnswer(f"{name}: answered in another shape ({error}): {data[:200]!r}") from None
    if not answer.choices or answer.choices[0].message.content is None:
        raise BadAnswer(f"{name}: answered without text")
    usage = {key: value for key, value in (answer.usage or {}).items() if isinstance(value, int)}
    choice = answer.choices[0]
    return Reply(text=choice.message.content or "", finish_reason=choice.finish_reason or "", usage=usage)
