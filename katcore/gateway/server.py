"""The gateway's HTTP server: a thread with an event loop of its own inside the rollout process.

In: requests over a unix socket of each session's own, or over one TCP port. A request must carry the session's key
and, on a unix socket, come through that session's socket: an unknown key gets 401, a released one 409. Out: replies,
whole or streamed. There are no routes for administration: sessions are opened and closed by calling this object.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web

from katcore.engine import SamplingParams
from katcore.gateway.dialects import BadRequest, Dialect, Reply, Request
from katcore.gateway.dialects.openai_chat import OpenAIChat
from katcore.gateway.journal import Journal
from katcore.gateway.model import Model
from katcore.gateway.session import Caps, Session, Trace
from katcore.records import Outcome

T = TypeVar("T")
DIALECTS: tuple[Dialect, ...] = (OpenAIChat(),)
LARGEST_BODY = 64 << 20


class Gateway:
    """A running gateway. `journals` is the folder of the journals; `tcp` an address to listen at as well."""

    def __init__(self, journals: Path, *, tcp: tuple[str, int] | None = None, sync: bool = False) -> None:
        self.journals = journals
        self.port: int | None = None
        self._sync = sync
        self._sessions: dict[str, Session] = {}  # by key
        self._released: set[str] = set()
        self._sites: dict[str, web.UnixSite] = {}
        # Short: a unix socket's path has at most 107 bytes.
        self._folder = Path(tempfile.mkdtemp(prefix="kat-", dir="/tmp"))
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kat-gateway", daemon=True)
        self._thread.start()
        self._runner = self.call(self._start(tcp))

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ from other threads

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the gateway's loop and wait for it: engines live there too."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def open(
        self,
        name: str,
        model: Model,
        *,
        caps: Caps | None = None,
        sampling: SamplingParams | None = None,
        seed: int = 0,
        outcome: Callable[[str], Outcome] | None = None,
        agent_sampling: bool = False,
    ) -> Session:
        """A session for the rollout of that name, with a socket and a key of its own."""
        journal = Journal(self.journals / f"{name}.jsonl", {"id": name, "model": model.name}, sync=self._sync)
        session = Session(
            id=name,
            key=secrets.token_urlsafe(24),
            model=model,
            caps=caps or Caps(),
            sampling=sampling or SamplingParams(),
            seed=seed,
            journal=journal,
            socket=self._folder / f"{secrets.token_hex(6)}.sock",
            outcome=outcome,
            agent_sampling=agent_sampling,
        )
        self.call(self._listen(session))
        return session

    def close_session(self, session: Session) -> Trace:
        """Release the key, take the socket away, and return what was recorded. The journal stays open for removal."""
        return self.call(self._release(session))

    def close(self) -> None:
        """End every session and the thread. May be called twice."""
        if not self._thread.is_alive():
            return
        for session in list(self._sessions.values()):
            self.close_session(session)
        self.call(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------------ on the loop

    async def _start(self, tcp: tuple[str, int] | None) -> web.AppRunner:
        app = web.Application(client_max_size=LARGEST_BODY)
        for dialect in DIALECTS:
            app.router.add_post(dialect.path, self._handler(dialect))
        app.router.add_get("/v1/models", self._models)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        if tcp is not None:
            site = web.TCPSite(runner, *tcp)
            await site.start()
            self.port = runner.addresses[0][1]
        return runner

    async def _listen(self, session: Session) -> None:
        assert session.socket is not None
        site = web.UnixSite(self._runner, session.socket)
        await site.start()
        session.socket.chmod(0o666)  # another user id may be behind the box's; the key is what opens it
        self._sites[session.key] = site
        self._sessions[session.key] = session

    async def _release(self, session: Session) -> Trace:
        if self._sessions.pop(session.key, None) is not None:
            self._released.add(session.key)
            await self._sites.pop(session.key).stop()
            assert session.socket is not None
            session.socket.unlink(missing_ok=True)
        trace = await session.finish()
        session.journal.close()
        if session.fault is not None:
            raise session.fault
        return trace

    def _session(self, request: web.Request) -> Session:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        session = self._sessions.get(key)
        if session is None and key in self._released:
            raise BadRequest("this key has been released", code="released_key", status=409)
        if session is None or not self._through(session, request):
            raise BadRequest("wrong key", code="invalid_api_key", status=401)
        return session

    def _through(self, session: Session, request: web.Request) -> bool:
        """Whether a request on a unix socket came through the session's own."""
        name = None if request.transport is None else request.transport.get_extra_info("sockname")
        return not isinstance(name, str) or name == str(session.socket)

    def _handler(self, dialect: Dialect) -> Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                session = self._session(request)
                body = await request.read()
                asked = dialect.parse(body)
                reply = await session.complete(asked, dialect.name, body, _retry(request))
            except BadRequest as error:
                return web.json_response(dialect.error(str(error), error.code, error.status), status=error.status)
            except web.HTTPRequestEntityTooLarge:
                return web.json_response(dialect.error("the body is too large", "too_large", 413), status=413)
            except asyncio.CancelledError:
                return web.json_response(dialect.error("the rollout has ended", "released_key", 409), status=409)
            if not asked.stream:
                return web.json_response(dialect.answer(asked, reply))
            return await _stream(request, dialect, asked, reply)

        return handle

    async def _models(self, request: web.Request) -> web.Response:
        try:
            session = self._session(request)
        except BadRequest as error:
            return web.json_response(OpenAIChat().error(str(error), error.code, error.status), status=error.status)
        model = {"id": session.model.name, "object": "model", "created": 0, "owned_by": "kat"}
        return web.json_response({"object": "list", "data": [model]})


async def _stream(request: web.Request, dialect: Dialect, asked: Request, reply: Reply) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    # The agent may have left; its call is recorded all the same.
    with contextlib.suppress(ConnectionResetError):
        await response.prepare(request)
        for event in dialect.events(asked, reply):
            await response.write(event)
        await response.write_eof()
    return response


def _retry(request: web.Request) -> int:
    given = request.headers.get("x-stainless-retry-count", "0")
    return int(given) if given.isdigit() else 0
