"""Runs somebody else's agent inside a box: writes its files, forwards its requests, and sees it to its end.

Python 3.9 or later, standard library alone, started with `python -I`. In: one JSON object on standard input (socket,
port, files, env, cwd, lines, timeouts). A port of the box's own loopback is joined to the gateway's unix socket, byte
for byte: agents speak HTTP to it and the box needs no network. Each line runs in a session of its own with its input
closed; when it ends, its whole process group is killed. Out: one JSON line `{"code": …, "stdout": …, "stderr": …}` with
the ends of what the last line said.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import socket
import struct
import sys
from typing import Any

CHUNK = 1 << 16
KEPT = 1 << 16
GRACE_S = 0.5
"""Seconds in which a dead agent's children may still write output."""


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction of a connection until it ends."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(CHUNK):
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


class Forwarder:
    """A loopback port whose connections all go to a unix socket."""

    def __init__(self, path: str) -> None:
        self.path = path

    async def start(self, port: int) -> None:
        """Listen on the loopback."""
        await asyncio.start_server(self.joined, "127.0.0.1", port)

    async def gateway(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the socket. A thread waits while its queue is full: asyncio would take that for connected.

        A socket with a timeout of Python's does not wait for a queue either, the kernel's own timeout does.
        """
        there = socket.socket(socket.AF_UNIX)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 10, 0))
        try:
            await asyncio.to_thread(there.connect, self.path)
        except BaseException:
            there.close()
            raise
        return await asyncio.open_connection(sock=there)

    async def joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection: copy both directions until both have ended."""
        ends = [writer]
        try:
            there, back = await self.gateway()
            ends.append(back)
            await asyncio.gather(pump(reader, back), pump(there, writer))
        except (OSError, asyncio.CancelledError):
            pass  # the gateway is gone, or the agent: whoever is left sees the connection end
        finally:
            for end in ends:
                end.close()


class Tail:
    """The last bytes of a pipe that a program writes to, whoever else holds it open."""

    def __init__(self) -> None:
        self.kept = b""
        self.source, self.sink = os.pipe()

    async def read(self) -> None:
        """Read the pipe to its end; the last bytes so far are in `kept`."""
        os.close(self.sink)
        reader = asyncio.StreamReader()
        pipe = os.fdopen(self.source, "rb", buffering=0)
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        while data := await reader.read(CHUNK):
            self.kept = (self.kept + data)[-KEPT:]

    def text(self) -> str:
        """The kept bytes as text."""
        return self.kept.decode("utf-8", "replace")


async def run(argv: list[str], env: dict[str, str], cwd: str) -> dict[str, Any]:
    """Run one program with empty input, and end its whole process group; returns how it ended and its last output."""
    out, err = Tail(), Tail()
    try:
        # Pipes of our own: with asyncio's, waiting for the program is waiting for everybody who holds them.
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out.sink,
            stderr=err.sink,
            start_new_session=True,
        )
    except OSError as error:
        return {"code": 127, "stdout": "", "stderr": f"{argv[0]}: {error.strerror}"}
    reading = [asyncio.ensure_future(each.read()) for each in (out, err)]
    code = await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # A daemon in a session of its own may hold the pipes open for ever; it ends with the box.
    await asyncio.wait(reading, timeout=GRACE_S)
    for each in reading:
        each.cancel()
    return {"code": code if code >= 0 else 128 - code, "stdout": out.text(), "stderr": err.text()}


def write(files: dict[str, str], home: str) -> None:
    """Write the agent's configuration files below `home`."""
    for name, text in files.items():
        path = pathlib.Path(home) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


async def work(config: dict[str, Any]) -> dict[str, Any]:
    """Write the files, start the forwarder, then run the command lines in order until one fails."""
    await Forwarder(config["socket"]).start(config["port"])
    write(config["files"], config["home"])
    env = {**os.environ, **config["env"]}
    done: dict[str, Any] = {}
    for argv in config["lines"]:
        done = await run(argv, env, config["cwd"])
        if done["code"] != 0:
            break
    return done


def main() -> None:
    done = asyncio.run(work(json.loads(sys.stdin.buffer.read())))
    print(json.dumps(done), flush=True)
    os._exit(0)  # connections of processes that are still there do not matter any more


if __name__ == "__main__":
    main()
