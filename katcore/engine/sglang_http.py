"""Connections to one or several servers of SGLang's native HTTP API: retries, failover, server-sent events.

In: paths and JSON bodies. Out: answers, or EngineError after the last attempt. A failed attempt goes to another server
where there is one. What the answers mean is `sglang.py`'s business.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import aiohttp
import orjson
from yarl import URL

from katcore.engine.routes import Routes
from katcore.errors import EngineError

_ATTEMPTS = 4
_FIRST_PAUSE = 0.1
_RETRIED = (500, 502, 503, 504)
_CUT = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError)


class ContextOverflow(EngineError):
    """Prompt and completion together exceed the model's context length."""


class GrammarRefused(EngineError):
    """The grammar of a request is none that the engine takes, or the engine takes none."""


class Broken(Exception):
    """One attempt failed in a way that another may not."""


class Servers:
    """The servers at `http://…`, `https://…` or `unix:/path`; use them from one event loop."""

    def __init__(self, urls: Sequence[str], name: str) -> None:
        self.urls = [url.rstrip("/") for url in urls]
        self.name = name
        self.routes = Routes(len(urls))
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Let go of all connections."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def ask_one(self, path: str, body: Any, ids: Sequence[int]) -> bytes:
        """POST to the server that suits the prompt `ids`, or to another one when it fails."""
        attempts = Attempts(self, ids)
        while True:
            try:
                with attempts.running():
                    answer = await self._try(attempts.server, "POST", path, body(attempts.number))
                    self.routes.answered(attempts.server)
                    return answer
            except Broken as reason:
                await attempts.failed(reason)

    async def ask_all(self, method: str, path: str, body: Any = None) -> list[bytes]:
        """Every server's answer, in order; EngineError when one of them does not answer."""
        return await asyncio.gather(*(self._ask(server, method, path, body) for server in range(len(self.urls))))

    async def ask_all_json(self, method: str, path: str, body: Any = None) -> list[dict[str, Any]]:
        """Like `ask_all`: JSON objects."""
        return [self.table(path, data) for data in await self.ask_all(method, path, body)]

    async def events(self, server: int, path: str, body: Any) -> AsyncGenerator[dict[str, Any], None]:
        """Server-sent events of one attempt, until `[DONE]`. Broken when it fails or ends before that."""
        try:
            async with self._request(server, "POST", path, body) as response:
                if response.status != 200:
                    self._accept(path, response.status, await response.read())
                async for data in _lines(response):
                    if data == b"[DONE]":
                        return
                    yield self._event(path, data)
        except _CUT as reason:
            raise Broken(f"does not answer ({reason or type(reason).__name__})") from None
        raise Broken(f"{path}: the stream was cut")

    def table(self, path: str, data: bytes) -> dict[str, Any]:
        """A JSON object; EngineError when it is none."""
        try:
            answer = orjson.loads(data)
        except ValueError:
            raise EngineError(f"{self.name}: {path} answered no JSON: {data[:200]!r}") from None
        if not isinstance(answer, dict):
            raise EngineError(f"{self.name}: {path} answered in another shape: {data[:200]!r}")
        return answer

    async def _ask(self, server: int, method: str, path: str, body: Any) -> bytes:
        attempts = Attempts(self, (), server)
        while True:
            try:
                return await self._try(server, method, path, body)
            except Broken as reason:
                await attempts.failed(reason)

    async def _try(self, server: int, method: str, path: str, body: Any) -> bytes:
        try:
            async with self._request(server, method, path, body) as response:
                return self._accept(path, response.status, await response.read())
        except _CUT as reason:
            raise Broken(f"does not answer ({reason or type(reason).__name__})") from None

    def _request(self, server: int, method: str, path: str, body: Any) -> Any:
        url = self.urls[server]
        data = None if body is None else orjson.dumps(body)
        headers = {"Content-Type": "application/json"}
        return self._session(url).request(method, _address(url, path), data=data, headers=headers)

    def _session(self, url: str) -> aiohttp.ClientSession:
        key = url if url.startswith("unix:") else "tcp"
        if key not in self._sessions:
            socket = url.removeprefix("unix:")
            connector = aiohttp.TCPConnector(limit=0) if key == "tcp" else aiohttp.UnixConnector(socket, limit=0)
            # No time-out as a whole: a long completion on a small machine takes what it takes.
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=10)
            self._sessions[key] = aiohttp.ClientSession(
                connector=connector, timeout=timeout, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._sessions[key]

    def _accept(self, path: str, status: int, data: bytes) -> bytes:
        if status == 200:
            return data
        message = message_of(data)
        if status in _RETRIED:
            raise Broken(f"{path} answered {status}: {message}")
        raise self._refusal(f"{path} answered {status}: ", message, status)

    def _refusal(self, where: str, message: str, status: int) -> EngineError:
        if status == 400 and "context length" in message:
            return ContextOverflow(f"{self.name}: {message}")
        if status == 400 and "grammar" in message.lower():
            return GrammarRefused(f"{self.name}: {message}")
        return EngineError(f"{self.name}: {where}{message}")

    def _event(self, path: str, data: bytes) -> dict[str, Any]:
        table = self.table(path, data)
        if "error" in table:
            error = table["error"]
            status = error.get("code") if isinstance(error, dict) else None
            message = message_of(data)
            if status in _RETRIED:
                raise Broken(f"{path} answered {status}: {message}")
            raise self._refusal(f"{path}: ", message, status if isinstance(status, int) else 400)
        self._check_refused(path, table)
        return table

    def _check_refused(self, path: str, event: dict[str, Any]) -> None:
        """SGLang refuses a stream that it has begun by an event whose finish reason has the status of an error."""
        meta = event.get("meta_info")
        finish = meta.get("finish_reason") if isinstance(meta, dict) else None
        if not isinstance(finish, dict) or finish.get("type") != "abort":
            return
        status = finish.get("status_code")
        if isinstance(status, int) and status >= 400:
            message = " ".join(str(finish.get("message")).split())[:500]
            if status in _RETRIED:
                raise Broken(f"{path} answered {status}: {message}")
            raise self._refusal(f"{path}: ", message, status)


@lru_cache(1024)
def _address(url: str, path: str) -> URL:
    return URL(("http://localhost" if url.startswith("unix:") else url) + path)


class Attempts:
    """The attempts of one call: where the next one goes, and when it was the last."""

    def __init__(self, servers: Servers, ids: Sequence[int], only: int | None = None) -> None:
        self._servers, self._ids, self._only = servers, ids, only
        self._tried: set[int] = set()
        self.number = 0
        self.server = servers.routes.pick(ids) if only is None else only

    @contextmanager
    def running(self) -> Iterator[None]:
        """Counts the call as open at its server."""
        server, running = self.server, self._servers.routes.running
        running[server] += 1
        try:
            yield
        finally:
            running[server] -= 1

    async def failed(self, reason: Broken) -> None:
        """Choose the next server, after a pause when all of them were asked; EngineError when it was the last attempt.

        A router answers for several workers behind one URL and may send one call to a dead one twice: hence the pause.
        """
        servers, routes = self._servers, self._servers.routes
        routes.failed(self.server)
        self._tried.add(self.server)
        self.number += 1
        rounds = 1 if self._only is not None else len(servers.urls)
        if self.number >= _ATTEMPTS * rounds:
            raise EngineError(f"{servers.name}: {reason}", hint="is the server running?")
        if self._only is not None or len(self._tried) == len(servers.urls):
            self._tried.clear()
            await asyncio.sleep(_FIRST_PAUSE * 4 ** (self.number // rounds - 1))
        if self._only is None:
            self.server = routes.pick(self._ids, self._tried)


async def _lines(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The data of each event; a line may be longer than any buffer, since SGLang repeats what it has sent."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                yield line[5:].strip()


def message_of(data: bytes) -> str:
    """The reason in an error body, whatever its shape; one line."""
    text = data.decode("utf-8", "replace")
    try:
        table = orjson.loads(data)
    except ValueError:
        table = None
    if isinstance(table, dict):
        error = table.get("error", table)
        text = str(error.get("message", error) if isinstance(error, dict) else error)
    return " ".join(text.split())[:500]
