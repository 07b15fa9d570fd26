"""One request to an outside endpoint, until there is an answer: tries, pauses, and what its errors mean.

In: a path, a body, headers. Out: the answer as a JSON object, put together where it came as events. What the endpoint
refuses is the agent's affair (Refused), but for single fields that it names, without which it is asked again
(`refused.py`). It is asked again when it is away or busy, after the time that its `Retry-After` names, as long as the
call has time; other tries are counted. Then it is Away. Without a key that it takes it is Denied.
"""

from __future__ import annotations

import random
import time
from asyncio import sleep
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import msgspec

from katcore.engine.sglang import ContextOverflow
from katcore.gateway.external.events import decoded, events_of, is_stream
from katcore.gateway.external.reading import Unreadable, table
from katcore.gateway.external.refused import Refusals
from katcore.gateway.refusals import Away, Denied, Refused
from katcore.records import Json

TRIES = 6
"""How often an endpoint is asked that does not say when to come again."""
LONGEST_PAUSE_S = 60.0
RETRIED = frozenset([408, 409, 425, 429])
"""With every 5xx."""
DENIED = frozenset([401, 402, 403])
DENIED_CODES = frozenset(["insufficient_quota", "billing_hard_limit_reached"])
OVERFLOW = (
    "context length", "context_length", "prompt is too long", "maximum context", "context window", "context limit",
    "exceed_context_size",
)  # fmt: skip
STATUS_OF = {
    "overloaded_error": 529,
    "rate_limit_error": 429,
    "invalid_request_error": 400,
    "authentication_error": 401,
}
"""The statuses of errors that come inside an answer."""
Assembled = Callable[[Iterator[Any]], Json]


@dataclass(frozen=True)
class Problem:
    """An answer that is none. `status` 0: there was nothing, or it broke off. `pause_s`: when to come again."""

    status: int
    message: str
    code: str = ""
    whole: str = ""
    pause_s: float = 0.0

    @property
    def passing(self) -> bool:
        """Whether it may be over at the next try."""
        busy = self.status in RETRIED or self.status >= 500 or not self.status
        return busy and self.code not in DENIED_CODES

    def error(self, where: str) -> Exception:
        """The error that the session is told."""
        said = f"{where} answered {self.status}: {self.message}" if self.status else f"{where} {self.message}"
        if self.status in DENIED or self.code in DENIED_CODES:
            return Denied(said)
        if self.passing or self.status < 400:
            status = self.status if self.status >= 400 else 503
            return Away(said, status, self.code or "engine_error", self.pause_s)
        if any(sign in f"{self.code} {self.message}".lower() for sign in OVERFLOW):
            return ContextOverflow(said)
        return Refused(self.message, code=self.code or "invalid_request_error", status=self.status)


@dataclass
class Endpoint:
    """An endpoint at `url`; `assembled` makes an answer of events. A try has `try_s`, a call `call_s` seconds."""

    name: str
    url: str
    assembled: Assembled
    try_s: float
    call_s: float
    first_pause_s: float
    refusals: Refusals = field(default_factory=Refusals)
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    async def ask(self, path: str, body: Json, headers: dict[str, str]) -> Json:
        """The answer. Raises Refused, ContextOverflow, Denied, and Away when tries or time are used up."""
        ends, tries = time.monotonic() + self.call_s, 0
        while True:
            sent, also = self.refusals.without(body), self.refusals.headers(headers)
            found = await self._once(path, sent, also, min(self.try_s, ends - time.monotonic()))
            if not isinstance(found, Problem):
                return found
            if found.status in (400, 422) and self.refusals.learn(sent, also, found.whole):
                continue
            tries += found.pause_s < 1  # who names no time, or hardly any, is not asked for ever
            pause = min(self.first_pause_s * 2**tries, LONGEST_PAUSE_S) * random.uniform(0.75, 1.0)
            pause = found.pause_s if found.pause_s >= 1 else max(found.pause_s, pause)
            if not found.passing or tries >= TRIES or time.monotonic() + pause >= ends:
                raise found.error(f"{self.name}: {path}")
            await sleep(pause)

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _once(self, path: str, body: Json, headers: dict[str, str], seconds: float) -> Json | Problem:
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=0)
            self._session = aiohttp.ClientSession(connector=connector, trust_env=True)
        timeout = aiohttp.ClientTimeout(total=max(seconds, 0.01), sock_connect=10)
        url, data = self.url.rstrip("/") + path, msgspec.json.encode(body)
        asked = self._session.post(url, data=data, headers=headers, timeout=timeout, allow_redirects=False)
        try:
            async with asked as response:
                given = await response.read()
        except (aiohttp.ClientError, TimeoutError) as reason:
            return Problem(0, f"does not answer ({reason or type(reason).__name__})")
        if not 200 <= response.status < 300:
            given = _without_key(given, headers)
            return _problem(response.status, _value(given), given, _pause(response.headers))
        return self._answer(response.content_type, given)

    def _answer(self, content_type: str, given: bytes) -> Json | Problem:
        try:
            answer = self.assembled(events_of(given)) if is_stream(content_type, given) else decoded(given)
        except (Unreadable, KeyError, TypeError, AttributeError, IndexError) as reason:
            return Problem(0, f"answered in another shape ({reason!r})")
        if not isinstance(answer, dict):
            return Problem(0, f"answered no JSON object: {given[:200]!r}")
        if answer.get("error") and not answer.get("choices") and not answer.get("content"):
            error = table(answer["error"])
            status = error.get("code") if isinstance(error.get("code"), int) else STATUS_OF.get(str(error.get("type")))
            return _problem(status if status and 400 <= status < 600 else 502, answer, given, 0.0)
        return answer


def _problem(status: int, value: Any, data: bytes, pause_s: float) -> Problem:
    """A problem in the endpoint's own words, however it wraps them."""
    whole = " ".join(data.decode("utf-8", "replace").replace('\\"', '"').split())[:4000]
    given = table(value)
    error = given.get("error") or given
    message = error if isinstance(error, str) else next(
        (table(error)[name] for name in ("message", "detail", "msg") if table(error).get(name)), whole[:500]
    )  # fmt: skip
    code = next((table(error)[name] for name in ("code", "type") if isinstance(table(error).get(name), str)), "")
    said = message if isinstance(message, str) else msgspec.json.encode(message).decode()
    return Problem(status, " ".join(said.split())[:2000], code, whole, pause_s)


def _without_key(data: bytes, headers: dict[str, str]) -> bytes:
    """What an endpoint says, without the key, which some repeat: it stands in records."""
    key = headers.get("x-api-key") or headers.get("Authorization", "").removeprefix("Bearer ")
    return data.replace(key.encode(), b"***") if key else data


def _value(data: bytes) -> Any:
    try:
        return decoded(data)
    except Unreadable:
        return None


def _pause(headers: Any) -> float:
    """The seconds that an endpoint asks to wait, 0 where it names none; also until a date, or in milliseconds."""
    given = headers.get("retry-after", "").strip()
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        if given.replace(".", "", 1).isdigit():
            return float(given)
        when = parsedate_to_datetime(given)
        return max(0.0, ((when if when.tzinfo else when.replace(tzinfo=UTC)) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return 0.0
