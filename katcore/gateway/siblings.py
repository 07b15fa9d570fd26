"""Requests with the key of a session that lives in another process of this gateway: that one is asked.

In: a request on a connection that came here for another session's sake, as clients with a pool of connections send
them. Out: the other process's answer, as it comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import aiohttp
from aiohttp import web

KEY_HEADERS = ("x-api-key", "x-goog-api-key")
LEFT_OUT = frozenset(
    ["host", "content-length", "content-encoding", "transfer-encoding", "connection", "accept-encoding"]
)
TOLD = ("Content-Type", "Cache-Control", "Retry-After")
"""Headers of an answer that are an agent's affair."""
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def keys_of(request: web.Request) -> list[str]:
    """The keys that a request may mean, as each API's clients send them; "" for those that are not there."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    bearer = key.strip() if scheme.lower() == "bearer" else ""
    return [*(request.headers.get(name, "") for name in KEY_HEADERS), bearer, request.query.get("key", "")]


class Siblings:
    """The sessions of the other processes, by their keys, with the sockets at which they are reached."""

    def __init__(self) -> None:
        self._sockets: dict[str, str] = {}
        self._clients: dict[str, aiohttp.ClientSession] = {}

    def know(self, sockets: Mapping[str, str]) -> None:
        """From now on these keys are others'."""
        self._sockets = dict(sockets)

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Ask the process whose session it is; this one's handler where that is its own or nobody's."""
        for key in keys_of(request):
            if (socket := self._sockets.get(key)) is not None:
                return await self._asked(request, socket)
        return await handler(request)

    async def close(self) -> None:
        """Let go of all connections."""
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    async def _asked(self, request: web.Request, socket: str) -> web.StreamResponse:
        client = self._clients.get(socket)
        if client is None:
            connector, timeout = aiohttp.UnixConnector(socket, limit=0), aiohttp.ClientTimeout(total=None)
            client = self._clients[socket] = aiohttp.ClientSession(connector=connector, timeout=timeout)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in LEFT_OUT}
        url, body = f"http://localhost{request.path_qs}", await request.read()
        async with client.request(request.method, url, data=body, headers=headers) as answer:
            told = {name: answer.headers[name] for name in TOLD if name in answer.headers}
            response = web.StreamResponse(status=answer.status, headers=told)
            await response.prepare(request)
            async for part in answer.content.iter_any():
                await response.write(part)
            await response.write_eof()
            return response
