"""The gateway's HTTP server: a thread with an event loop of its own inside the rollout process.

In: requests over a unix socket of each session's own, or over one TCP port. A request must carry the session's key (as
a bearer token, in `x-api-key`, or as Google's clients do) and, on a unix socket, come through that session's socket: an
unknown key gets 401, a released one 409. Out: replies, whole or streamed. There are no routes for administration:
sessions are opened and closed, and generation paused and resumed, by calling this object. Metrics are served on an
address of their own.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import uvloop
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from katcore.disk.scratch import new_folder
from katcore.engine import Engine, SamplingParams
from katcore.errors import KatError
from katcore.gateway.call_ids import adopted
from katcore.gateway.dialects import BadRequest, CountsTokens, Dialect, Reply, Route
from katcore.gateway.dialects.anthropic_messages import AnthropicMessages
from katcore.gateway.dialects.gemini import MODELS, Gemini
from katcore.gateway.dialects.openai_chat import OpenAIChat
from katcore.gateway.dialects.openai_responses import OpenAIResponses
from katcore.gateway.gate import Gate
from katcore.gateway.history import History
from katcore.gateway.hook import Hook
from katcore.gateway.incremental import IncrementalRenderer
from katcore.gateway.journal import Journal
from katcore.gateway.metrics import Metrics
from katcore.gateway.model import Model
from katcore.gateway.prepared import Expressible
from katcore.gateway.session import GRACE_S, Caps, Session, Trace
from katcore.gateway.siblings import Siblings, keys_of
from katcore.gateway.stream import stream_answer
from katcore.model.folder import ChatModel
from katcore.records import Json
from katcore.scaffold.outcomes import Rules

T = TypeVar("T")
Handler = Callable[[web.Request], Coroutine[Any, Any, web.StreamResponse]]
ANTHROPIC, GEMINI = AnthropicMessages(), Gemini()
DIALECTS: tuple[Dialect, ...] = (ANTHROPIC, OpenAIChat(), OpenAIResponses(), GEMINI)
COUNTING: tuple[CountsTokens, ...] = (ANTHROPIC, GEMINI)
LARGEST_BODY = 64 << 20
AGENT_HEADERS = ("x-claude-code-agent-id", "x-session-id", "session_id", "session-id", "thread-id")
"""Headers in which agents tell their conversations apart: Claude Code's sub-agents, OpenCode, Codex."""


class Gateway:
    """A running gateway. `journals` is the folder of the journals; `tcp` an address to listen at as well.

    `metrics` is an address for Prometheus. A port 0 is any free one: `port`, `metrics_port` say which. With `siblings`
    it is one of several processes with one address (`spread.py`).
    """

    def __init__(
        self,
        journals: Path,
        *,
        tcp: tuple[str, int] | None = None,
        metrics: tuple[str, int] | None = None,
        sync: bool = False,
        keep_alive_s: float = 3.0,
        siblings: bool = False,
    ) -> None:
        self.journals = journals
        self.port: int | None = None
        self.metrics_port: int | None = None
        self.gate = Gate()
        self.metrics = Metrics()
        self._keep_alive_s = keep_alive_s
        self._siblings = Siblings() if siblings else None
        self._joining: set[asyncio.Task[Any]] = set()
        self._counting: web.AppRunner | None = None
        self._sync = sync
        self._cut = False
        self._sessions: dict[str, Session] = {}  # by key
        self._released: set[str] = set()
        self._renderers: dict[str, IncrementalRenderer] = {}  # by tokenizer and template
        self._expressible: dict[str, Expressible] = {}
        self.metrics.gauge("sessions_open", "Sessions open.", lambda: len(self._sessions))
        self.metrics.gauge("calls_in_flight", "Calls in flight.", self._in_flight)
        self.metrics.gauge("paused", "Paused.", lambda: float(self.gate.paused))
        self._sites: dict[str, web.UnixSite] = {}
        self._folder = new_folder()
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kat-gateway", daemon=True)
        self._thread.start()
        self._runner = self.call(self._start(tcp, metrics))

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ------------------------------------------------------------------ from other threads

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the gateway's loop and wait for it: engines live there too. KatError when it is closed."""
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise KatError("the gateway is closed") from error
        return future.result()

    def open(
        self,
        name: str,
        model: Model,
        *,
        caps: Caps,
        sampling: SamplingParams,
        history: History,
        seed: int = 0,
        rules: Rules | None = None,
        agent_sampling: bool = False,
        hook: Hook | None = None,
    ) -> Session:
        """A session for the rollout of that name, with a socket and a key of its own. KatError when it ends."""
        if self._cut:
            raise KatError("the gateway is closed")
        header = {"id": name, "model": model.name, "tokenizer": model.chat.digest if model.chat else ""}
        journal = Journal(self.journals / f"{name}.jsonl", header, sync=self._sync)
        session = Session(
            id=name,
            key=secrets.token_urlsafe(24),
            model=model,
            caps=caps,
            sampling=sampling,
            seed=seed,
            journal=journal,
            socket=self._folder / f"{secrets.token_hex(6)}.sock",
            rules=rules,
            agent_sampling=agent_sampling,
            history=history,
            hook=hook,
            renderer=self._renderers.setdefault(header["tokenizer"], IncrementalRenderer()),
            expressible=self._expressible_by(model.chat),
            gate=self.gate,
            metrics=self.metrics,
        )
        self.call(self._listen(session))
        return session

    def _expressible_by(self, chat: ChatModel | None) -> Expressible | None:
        return None if chat is None else self._expressible.setdefault(chat.digest, Expressible(chat))

    def close_session(self, session: Session) -> Trace:
        """Release the key, take the socket away, and return what was recorded. The journal stays open for removal."""
        return self.close_sessions([session])[0]

    def close_sessions(self, sessions: Sequence[Session], grace_s: float = GRACE_S) -> list[Trace]:
        """Close several at once: calls in flight have `grace_s` seconds to end, all the same ones."""

        async def release() -> list[Trace]:
            return await asyncio.gather(*(self._release(session, grace_s) for session in sessions))

        return self.call(release())

    def sessions(self) -> list[Session]:
        """The sessions that are open."""
        return list(self._sessions.values())

    def pause(self, *, drain: bool = False) -> None:
        """Let no new generation begin; with `drain` wait until those under way have ended. Agents wait meanwhile."""
        self.call(self._pause(drain))

    def resume(self) -> None:
        """Let generations begin again."""
        self._loop.call_soon_threadsafe(self.gate.resume)

    def update_weights(self, engine: Engine, folder: str, version: str) -> None:
        """Change the engine's weights under the calls in flight: they go on with the new ones.

        An engine that can pause holds them; one that cannot is drained first.
        """
        self.call(self._update(engine, folder, version))

    def cut(self) -> None:
        """End all sessions together, with the calls in flight, and open no more; their journals stay. Tells nothing."""

        async def release() -> None:
            await asyncio.gather(*(self._release(each, 0.0) for each in self.sessions()), return_exceptions=True)

        self._cut = True
        self.call(release())

    def take(self, handed: socket.socket) -> None:
        """Serve the connections that another process sends over this socket, as long as it does."""
        handed.setblocking(False)
        self._loop.call_soon_threadsafe(self._loop.add_reader, handed, self._taken, handed)

    def others(self, sockets: Mapping[str, str]) -> None:
        """Say which keys are sessions of other processes, and at which socket each is reached."""
        assert self._siblings is not None
        self._loop.call_soon_threadsafe(self._siblings.know, sockets)

    def close(self) -> None:
        """End every session and the thread. May be called twice."""
        if not self._thread.is_alive():
            return
        self.cut()
        if self._siblings is not None:
            self.call(self._siblings.close())
        self.call(self._runner.cleanup())
        if self._counting is not None:
            self.call(self._counting.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    # ------------------------------------------------------------------ on the loop

    async def _start(self, tcp: tuple[str, int] | None, metrics: tuple[str, int] | None) -> web.AppRunner:
        asked_first = [self._siblings.middleware] if self._siblings is not None else []
        app = web.Application(client_max_size=LARGEST_BODY, middlewares=asked_first)
        for dialect in DIALECTS:
            for route in dialect.routes:
                app.router.add_post(route.path, self._handler(dialect, route))
        for counter in COUNTING:
            for path in counter.counting:
                app.router.add_post(path, self._counter(counter))
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/v1/models/{name:.+}", self._models)
        app.router.add_get(MODELS[0], self._gemini_models)
        app.router.add_get(f"{MODELS[0]}/{{model:.+}}", self._gemini_models)
        app.router.add_head("/", _alive)
        app.router.add_route("*", "/{path:.*}", _nowhere)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        if tcp is not None:
            await web.TCPSite(runner, *tcp).start()
            self.port = runner.addresses[0][1]
        if metrics is not None:
            counting = web.Application()
            counting.router.add_get("/metrics", self._metrics)
            self._counting = web.AppRunner(counting, access_log=None)
            await self._counting.setup()
            await web.TCPSite(self._counting, *metrics).start()
            self.metrics_port = self._counting.addresses[0][1]
        return runner

    def _taken(self, handed: socket.socket) -> None:
        with suppress(BlockingIOError):
            data, descriptors, _, _ = socket.recv_fds(handed, 1, 1)
            if not data:
                self._loop.remove_reader(handed)
            assert self._runner.server is not None
            for descriptor in descriptors:
                joined = socket.socket(fileno=descriptor)
                task = self._loop.create_task(self._loop.connect_accepted_socket(self._runner.server, joined))
                self._joining.add(task)
                task.add_done_callback(self._joining.discard)

    async def _pause(self, drain: bool) -> None:
        self.gate.pause()
        if drain:
            await self.gate.drained()

    async def _update(self, engine: Engine, folder: str, version: str) -> None:
        hold, go_on = getattr(engine, "pause", None), getattr(engine, "resume", None)
        self.gate.pause()
        try:
            if hold is None or go_on is None:
                await self.gate.drained()
                await engine.update_weights(folder, version)
                return
            await hold("retract")  # what it has computed under the old weights is computed anew
            try:
                await engine.update_weights(folder, version)
            finally:
                await go_on()
        finally:
            self.gate.resume()

    async def _listen(self, session: Session) -> None:
        assert session.socket is not None
        site = web.UnixSite(self._runner, session.socket)
        await site.start()
        session.socket.chmod(0o666)  # another user id may be behind the box's; the key is what opens it
        self._sites[session.key] = site
        self._sessions[session.key] = session

    async def _release(self, session: Session, grace_s: float) -> Trace:
        if self._sessions.pop(session.key, None) is not None:
            self._released.add(session.key)
            await self._sites.pop(session.key).stop()
            assert session.socket is not None
            session.socket.unlink(missing_ok=True)
        trace = await session.finish(grace_s)
        session.journal.close()
        if session.fault is not None:
            raise session.fault
        return trace

    def _session(self, request: web.Request) -> Session:
        for given in keys_of(request):
            session = self._sessions.get(given)
            if session is not None and self._through(session, request):
                return session
            if given in self._released:
                raise BadRequest("this key has been released", code="released_key", status=409)
        raise BadRequest("wrong key", code="invalid_api_key", status=401)

    def _through(self, session: Session, request: web.Request) -> bool:
        """Whether a request on a unix socket came through the session's own."""
        name = None if request.transport is None else request.transport.get_extra_info("sockname")
        return not isinstance(name, str) or name == str(session.socket)

    def _handler(self, dialect: Dialect, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            session = self._session(request)
            body = await request.read()
            asked = dialect.parse(body, session.memo)
            if told := _said_by(route, request):
                asked = msgspec.structs.replace(asked, **told)
            asked = adopted(asked, session.tree) if asked.unnamed else asked
            if session.model.chat is None:  # an outside endpoint may know more of it than the normalised form has
                betas = request.headers.get("anthropic-beta", "")
                asked = msgspec.structs.replace(asked, body=body, dialect=dialect.name, betas=betas)
            pending = session.ask(asked, dialect.name, _retry(request))
            gone = web.Response()  # which nobody reads
            with suppress(ConnectionResetError), pending.wanted():
                if asked.stream:
                    return await stream_answer(request, dialect, asked, pending, self._keep_alive_s)
                reply: Reply = await asyncio.shield(pending.task)
                whole = msgspec.json.encode(dialect.answer(asked, reply))
                response = web.Response(body=whole, content_type="application/json", charset="utf-8")
                await response.prepare(request)
                await response.write_eof()
                return response
            return gone

        return _refusing(dialect, handle)

    def _counter(self, dialect: CountsTokens) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            session = self._session(request)
            asked = dialect.parse(await request.read(), session.memo)
            return web.json_response(dialect.counted(session.count(asked)))

        return _refusing(dialect, handle)

    async def _models(self, request: web.Request) -> web.StreamResponse:
        async def handle(request: web.Request) -> web.StreamResponse:
            own = self._session(request).model.name
            model = _model(request.match_info.get("name", own))
            listed = {"object": "list", "data": [model], "has_more": False, "first_id": own, "last_id": own}
            return web.json_response(model if "name" in request.match_info else listed)

        return await _refusing(_dialect_of(request), handle)(request)

    async def _gemini_models(self, request: web.Request) -> web.StreamResponse:
        async def handle(request: web.Request) -> web.StreamResponse:
            session = self._session(request)
            name = request.match_info.get("model", session.model.name)
            model = GEMINI.model(name, session.caps.context, session.caps.completion)
            return web.json_response(model if "model" in request.match_info else {"models": [model]})

        return await _refusing(GEMINI, handle)(request)

    async def _metrics(self, request: web.Request) -> web.Response:
        body, content_type = self.metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": content_type})

    def _in_flight(self) -> int:
        return sum(session.in_flight for session in self._sessions.values())


def _refusing(dialect: Dialect, handle: Handler) -> Handler:
    """The handler with its errors answered as the dialect's clients expect them."""

    async def handled(request: web.Request) -> web.StreamResponse:
        try:
            return await handle(request)
        except BadRequest as error:
            headers = {"Retry-After": str(math.ceil(error.retry_after))} if error.retry_after else None
            told = dialect.error(str(error), error.code, error.status)
            return web.json_response(told, status=error.status, headers=headers)
        except RequestPayloadError:  # among them a body that is not encoded as its header says
            text = "the body is not encoded as its headers say"
            return web.json_response(dialect.error(text, "invalid_request_error", 400), status=400)
        except web.HTTPRequestEntityTooLarge:
            return web.json_response(dialect.error("the body is too large", "too_large", 413), status=413)
        except asyncio.CancelledError:
            return web.json_response(dialect.error("the rollout has ended", "released_key", 409), status=409)

    return handled


def _model(name: str) -> Json:
    """A model as clients of any dialect read it; whatever they call it, it answers."""
    when = "1970-01-01T00:00:00Z"
    told: Json = {"id": name, "object": "model", "created": 0, "owned_by": "kat"}
    return {**told, "type": "model", "display_name": name, "created_at": when}


def _dialect_of(request: web.Request) -> Dialect:
    """The dialect in which a client wants an error on a path that is not one dialect's alone."""
    if "anthropic-version" in request.headers or request.path.startswith("/v1/messages"):
        return ANTHROPIC
    if "x-goog-api-key" in request.headers or request.path.startswith("/v1beta"):
        return GEMINI
    return DIALECTS[1]


async def _nowhere(request: web.Request) -> web.StreamResponse:
    async def handle(request: web.Request) -> web.StreamResponse:
        if any(request.path == route.path for dialect in DIALECTS for route in dialect.routes):
            told = f"{request.method} is not how {request.path} is asked"
            raise BadRequest(told, code="method_not_allowed", status=405)
        raise BadRequest(f"there is nothing at {request.method} {request.path[:200]}", code="not_found", status=404)

    return await _refusing(_dialect_of(request), handle)(request)


async def _alive(request: web.Request) -> web.Response:
    return web.Response()


def _said_by(route: Route, request: web.Request) -> dict[str, Any]:
    """What of a request stands in its address and its headers, and not in its body."""
    agent = "/".join(request.headers[name] for name in AGENT_HEADERS if name in request.headers)
    told: dict[str, Any] = {"agent": agent} if agent else {}
    if route.stream is not None:
        sse = not route.stream or request.query.get("alt") == "sse"
        told |= {"model": request.match_info["model"], "stream": route.stream, "sse": sse}
    return told


def _retry(request: web.Request) -> int:
    given = request.headers.get("x-stainless-retry-count", "0")
    return int(given) if given.isdigit() else 0
