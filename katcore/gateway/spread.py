"""Several gateway processes behind one address, for more calls a second than one core answers.

In: what to serve, how many processes, an address. Out: what `Served` gives: keys, and trajectories in the end. Each
session lives in one process. A thread here accepts connections, looks at the head of the first request without taking
it, and hands the connection itself to the process that has the key; bodies and answers never pass through here. Where
a client sends another session's key over the same connection, that process asks the other one for it. An embedded
engine is one process for all of them.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import msgspec

from katcore.engine.names import open_engine, parse
from katcore.engine.sglang import SGLangEngine
from katcore.errors import KatError
from katcore.gateway.serve import Served, Serving
from katcore.gateway.server import Gateway
from katcore.records import Json, Trajectory, encode

Address = tuple[str, int]
HEAD = 64 << 10
"""The longest head of a request that is looked at, in bytes."""
HEAD_S, LOOK_S = 10.0, 0.005
"""Seconds for a head to come, and between looks at one that has begun."""
END_S = 10.0
_KEYS = re.compile(
    rb"^(?:authorization:[ \t]*bearer|x-api-key:|x-goog-api-key:)[ \t]*([^\s]+)[ \t]*\r?$|^\S+ \S*[?&]key=([^&\s]+)",
    re.IGNORECASE | re.MULTILINE,
)
_SPAWN = multiprocessing.get_context("spawn")


@dataclass
class _Process:
    """A gateway process: a pipe to ask it over, and a socket by which it is given connections."""

    process: BaseProcess
    pipe: Connection
    handed: socket.socket

    def ask(self, what: str, *about: Any) -> Any:
        """Its answer. KatError when it is gone, or with its own error's words."""
        try:
            with suppress(BrokenPipeError):  # it may have said why it has ended
                self.pipe.send((what, *about))
            kind, answer = self.pipe.recv()
        except (OSError, EOFError) as error:
            raise KatError("a gateway process has ended", hint="--recover writes what its journals hold") from error
        if kind == "error":
            raise answer
        return answer


class Spread:
    """Sessions over several processes. `port` is where agents connect, `metrics_ports` where Prometheus reads."""

    def __init__(
        self,
        serving: Serving,
        count: int,
        journals: Path,
        *,
        tcp: Address,
        metrics: Address | None = None,
        sync: bool = False,
    ) -> None:
        self._engine = _own_engine(serving)
        at = serving if self._engine is None else replace(serving, at=self._engine[1])
        self._processes: list[_Process] = []
        try:
            for number in range(count):
                shared = replace(at, numbers=tuple(range(number, serving.sessions, count)))
                where = None if metrics is None else (metrics[0], metrics[1] + number if metrics[1] else 0)
                self._processes.append(_started(shared, journals, where, sync))
            self.metrics_ports = [each.ask("metrics") for each in self._processes]
            self._access = [each.ask("access") for each in self._processes]
            owners = {one["key"]: n for n, access in enumerate(self._access) for one in access}
            for number, process in enumerate(self._processes):
                others = {
                    one["key"]: one["socket"] for n, access in enumerate(self._access) for one in access if n != number
                }
                process.ask("others", others)
            self._front = _Front(tcp, owners, [each.handed for each in self._processes])
        except BaseException:
            self._end()
            raise
        self.port = self._front.port

    def __enter__(self) -> Spread:
        return self

    def __exit__(self, *_: object) -> None:
        self._front.close()
        self._end()

    def access(self) -> list[Json]:
        """What an agent needs for each session, in the sessions' order."""
        host = f"http://127.0.0.1:{self.port}"
        urls = {"openai_base_url": f"{host}/v1", "anthropic_base_url": host}
        found = [{**one, **urls} for access in self._access for one in access]
        return sorted(found, key=lambda one: int(one["name"].rpartition("-")[2]))

    def close(self) -> Iterator[Trajectory]:
        """The trajectory of each session that made a call, in the sessions' order."""
        self._front.close()
        made = [msgspec.json.decode(line, type=Trajectory) for each in self._processes for line in each.ask("close")]
        yield from sorted(made, key=lambda record: int(record.task_id.rpartition("-")[2]))

    def forget(self) -> None:
        """Remove the journals, whose trajectories are written."""
        for each in self._processes:
            each.ask("forget")

    def said(self) -> list[str]:
        """Lines for people about what an outside endpoint was not given."""
        return list(dict.fromkeys(line for each in self._processes for line in each.ask("said")))

    def table(self) -> list[str]:
        """The sessions of all processes as they are now; KatError when a process is gone."""
        return [line for each in self._processes for line in each.ask("table")]

    def _end(self) -> None:
        for each in self._processes:
            with suppress(KatError):
                each.ask("end")
            each.process.join(END_S)
            each.process.kill()
            each.handed.close()
        if self._engine is not None:
            asyncio.run(self._engine[0].close())
            self._engine = None


def _own_engine(serving: Serving) -> tuple[SGLangEngine, str] | None:
    """(an embedded engine that all processes share, its URL); None for an engine that is elsewhere."""
    if parse(serving.engine).kind != "embedded":
        return None
    engine = asyncio.run(open_engine(serving.engine, serving.placement))
    return engine, engine.urls[0]


# ------------------------------------------------------------------ the front


class _Front:
    """A thread that accepts connections and hands each to the process whose key its first request has."""

    def __init__(self, tcp: Address, owners: dict[str, int], processes: list[socket.socket]) -> None:
        self._owners = {key.encode(): number for key, number in owners.items()}
        self._processes = processes
        self._listening = socket.create_server(tcp, backlog=1024)
        self._listening.setblocking(False)
        self.port: int = self._listening.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="kat-gateway-front", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Accept nothing any more. May be called twice."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._listening.close()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.add_reader(self._listening, self._accept)
        self._loop.run_forever()
        for task in self._tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*self._tasks, return_exceptions=True))

    def _accept(self) -> None:
        with suppress(BlockingIOError, ConnectionError):
            joined, _ = self._listening.accept()
            joined.setblocking(False)
            task = self._loop.create_task(self._hand_over(joined))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _hand_over(self, joined: socket.socket) -> None:
        with joined:
            number = await self._owner(joined)
            if number is None:
                return
            handed = self._processes[number]
            while True:
                try:
                    socket.send_fds(handed, [b"."], [joined.fileno()])
                    return
                except BlockingIOError:
                    await asyncio.sleep(LOOK_S)
                except OSError:  # the process is gone: its agents see their connection closed
                    return

    async def _owner(self, joined: socket.socket) -> int | None:
        """The process for a connection, by the head of its first request; None where there is none."""
        ends, size = self._loop.time() + HEAD_S, 0
        while self._loop.time() < ends:
            if size == 0:
                await self._readable(joined, ends)
            try:
                head = joined.recv(HEAD, socket.MSG_PEEK)
            except OSError:  # among them that nothing has come in all that time
                return None
            if not head:
                return None
            whole = b"\r\n\r\n" in head or len(head) >= HEAD
            for found in _KEYS.finditer(head.partition(b"\r\n\r\n")[0]):
                if (number := self._owners.get(found[1] or found[2])) is not None:
                    return number
            if whole:
                return 0  # which says what is wrong with the key
            size = len(head)
            await asyncio.sleep(LOOK_S)
        return None

    async def _readable(self, joined: socket.socket, ends: float) -> None:
        come = asyncio.Event()
        self._loop.add_reader(joined, come.set)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(ends):
                    await come.wait()
        finally:
            self._loop.remove_reader(joined)


# ------------------------------------------------------------------ a process


def _started(serving: Serving, journals: Path, metrics: Address | None, sync: bool) -> _Process:
    ours, theirs = _SPAWN.Pipe()
    given, taken = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    given.setblocking(False)
    process = _SPAWN.Process(target=_serve, args=(theirs, taken, serving, journals, metrics, sync), daemon=True)
    process.start()
    theirs.close()
    taken.close()
    return _Process(process, ours, given)


def _serve(
    pipe: Connection, handed: socket.socket, serving: Serving, journals: Path, metrics: Address | None, sync: bool
) -> None:
    """What a process does until it is told to end, or nobody is there to tell it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the process that started it decides
    try:
        gateway = Gateway(journals, metrics=metrics, sync=sync, siblings=True)
    except OSError as error:
        pipe.send(("error", KatError(str(error))))  # the answer to whatever is asked first
        return
    with suppress(EOFError, OSError), gateway:
        served: Served | None = None
        while True:
            what, *about = pipe.recv()
            try:
                if served is None:
                    served = Served(gateway, serving)
                    gateway.take(handed)
                pipe.send(("ok", _answer(gateway, served, what, *about)))
            except KatError as error:
                pipe.send(("error", error))
            if what == "end":
                return


def _answer(gateway: Gateway, served: Served, what: str, *about: Any) -> Any:
    if what == "metrics":
        return gateway.metrics_port
    if what == "access":
        return served.access()
    if what == "others":
        return gateway.others(about[0])
    if what == "close":
        return [encode(record) for record in served.close()]
    if what == "forget":
        return served.forget()
    return served.said() if what == "said" else served.table() if what == "table" else None
