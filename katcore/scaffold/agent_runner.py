"""Runs somebody else's agent inside a box: writes its files, forwards its requests, and sees it to its end.

Standard library only, started with `python -I`. In: one JSON object on standard input (socket, port, files, env, cwd,
lines, timeouts). A port of the box's own loopback is joined to the gateway's unix socket, byte for byte: agents speak
HTTP to it and the box needs no network. Each line runs in a session of its own with its input closed; when it ends, its
whole process group is killed. Out: one JSON line `{"code": …, "stdout": …, "stderr": …}` with the ends of what the last
line said. The gateway's key is nowhere but in the memory, the environment and the files of the agent.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import sys
from typing import Any

CHUNK = 1 << 16
KEPT = 1 << 16
GRACE_S = 0.5
"""For what a dead agent's children still write."""


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One direction of a connection, to its end."""
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

    async def start(self, port: int) -> int:
        """Listen, and say at which port."""
        server = await asyncio.start_server(self.joined, "127.0.0.1", port)
        found: int = server.sockets[0].getsockname()[1]
        return found

    async def joined(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to the last of both sides."""
        ends = [writer]
        try:
            there, back = await asyncio.open_unix_connection(self.path)
            ends.append(back)
            await asyncio.gather(pump(reader, back), pump(there, writer))
        except (OSError, asyncio.CancelledError):
            pass  # the gateway is gone, or the agent: whoever is left sees the connection end
        finally:
            for end in ends:
                end.close()


async def tail(reader: asyncio.StreamReader) -> bytes:
    """The last bytes of a stream."""
    kept = b""
    while data := await reader.read(CHUNK):
        kept = (kept + data)[-KEPT:]
    return kept


async def run(argv: list[str], env: dict[str, str], cwd: str) -> dict[str, Any]:
    """One program and its whole group, with nothing on its input."""
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        return {"code": 127, "stdout": "", "stderr": f"{argv[0]}: {error.strerror}"}
    assert process.stdout is not None and process.stderr is not None
    said = [asyncio.ensure_future(tail(stream)) for stream in (process.stdout, process.stderr)]
    code = await process.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # A daemon in a session of its own may hold the pipes open for ever; it ends with the box.
    _, late = await asyncio.wait(said, timeout=GRACE_S)
    for each in late:
        each.cancel()
    out, err = (b"" if each in late else each.result() for each in said)
    return {
        "code": code if code >= 0 else 128 - code,
        "stdout": out.decode("utf-8", "replace"),
        "stderr": err.decode("utf-8", "replace"),
    }


def write(files: dict[str, str], home: str, port: int) -> None:
    """The agent's configuration, below a home that only this box has."""
    for name, text in files.items():
        path = pathlib.Path(home) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.replace("{port}", str(port)), encoding="utf-8")


async def work(config: dict[str, Any]) -> dict[str, Any]:
    """Files, forwarder, then the lines one after the other; the first that fails is the last."""
    port = await Forwarder(config["socket"]).start(config["port"])
    write(config["files"], config["home"], port)
    env = {**os.environ, **{name: text.replace("{port}", str(port)) for name, text in config["env"].items()}}
    done: dict[str, Any] = {}
    for argv in config["lines"]:
        done = await run([word.replace("{port}", str(port)) for word in argv], env, config["cwd"])
        if done["code"] != 0:
            break
    return done


def main() -> None:
    done = asyncio.run(work(json.loads(sys.stdin.buffer.read())))
    print(json.dumps(done), flush=True)
    os._exit(0)  # connections of processes that are still there do not matter any more


if __name__ == "__main__":
    main()
