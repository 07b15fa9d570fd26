"""The processes of `gateway.py`: an engine that takes no time, the gateway on a core of its own, and a peer's proxy."""

from __future__ import annotations

import asyncio
import contextlib
import cProfile
import json
import multiprocessing
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

SAID = 'I look at it.\n<tool_call>\n{"name": "bash", "arguments": {"command": "ls -la src"}}\n</tool_call>'
LITELLM = "litellm[proxy]"
_SPAWN = multiprocessing.get_context("spawn")


class _Process:
    """A process on one core that answers what it is asked over a pipe, first its URL."""

    def __init__(self, core: int, work: Any, *args: Any) -> None:
        self._pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=work, args=(theirs, core, *args), daemon=True)
        self._process.start()
        self.url: str = self._pipe.recv()

    def ask(self, *what: Any) -> Any:
        """Its answer."""
        self._pipe.send(what)
        return self._pipe.recv()

    def __exit__(self, *_: object) -> None:
        self._pipe.send(("end",))
        self._process.join(20)
        self._process.kill()


class Engine(_Process):
    """An engine that says the same to everybody at once, in ids and in each dialect."""

    def __init__(self, core: int, model: Path | None) -> None:
        super().__init__(core, _engine, model)

    def __enter__(self) -> Engine:
        return self


class Served(_Process):
    """The gateway; `open` gives keys, `close_sessions` the sampled tokens that nodes hold, and what the engine made."""

    def __init__(self, core: int, model: Path | None, engine: str, folder: Path, profile: Path | None) -> None:
        super().__init__(core, _gateway, model, engine, folder, profile)

    def __enter__(self) -> Served:
        return self

    def open(self, count: int) -> list[str]:
        keys: list[str] = self.ask("open", count)
        return keys

    def close_sessions(self) -> tuple[int, int]:
        delivered, captured = self.ask("close")
        return delivered, captured

    def cpu_s(self) -> float:
        return float(self.ask("cpu"))

    def rss_mib(self) -> float:
        return float(self.ask("rss"))


def _engine(pipe: Connection, core: int, model: Path | None) -> None:
    os.sched_setaffinity(0, {core})
    asyncio.run(_serve_engine(pipe, model))


async def _serve_engine(pipe: Connection, model: Path | None) -> None:
    from aiohttp import web

    from katcore.gateway.dialects import Reply
    from katcore.gateway.memo import Memo
    from katcore.gateway.server import DIALECTS, LARGEST_BODY
    from katcore.model.folder import load

    chat = load(model)
    ids = [*chat.encode(SAID), chat.turn_end]
    pairs = [[-0.25, token, None] for token in ids]
    meta = {"output_token_logprobs": pairs, "finish_reason": {"type": "stop"}, "weight_version": "0"}
    event = {"output_ids": ids, "meta_info": {**meta, "completion_tokens": len(ids)}}
    generated = b"data: " + json.dumps(event).encode() + b"\n\ndata: [DONE]\n\n"
    message = chat.parse_completion(ids, "0").message
    reply = Reply("0", message, "tool_calls", 100, len(ids))

    async def generate(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(body=generated, content_type="text/event-stream")

    app = web.Application(client_max_size=LARGEST_BODY)
    app.router.add_post("/generate", generate)
    for dialect in DIALECTS:
        asked = dialect.parse(
            json.dumps({"messages": [{"role": "user", "content": "?"}], "input": "?", "contents": [{}]}).encode(),
            Memo(),
        )
        events = dialect.stream(asked, "0", 100)
        streamed = events.start() + b"".join(events.finish(reply))
        straight = _straight(json.dumps(dialect.answer(asked, reply)).encode(), streamed)
        for route in dialect.routes:
            app.router.add_post(route.path, straight)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    pipe.send(f"http://127.0.0.1:{runner.addresses[0][1]}")
    await asyncio.to_thread(pipe.recv)
    await runner.cleanup()


def _straight(whole: bytes, streamed: bytes) -> Any:
    from aiohttp import web

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if b'"stream":true' not in body.replace(b'"stream": ', b'"stream":'):
            return web.Response(body=whole, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(streamed)
        await response.write_eof()
        return response

    return answer


def _gateway(
    pipe: Connection, core: int, model: Path | None, url: str, folder: Path, profile: Path | None
) -> None:  # fmt: skip
    os.sched_setaffinity(0, {core})
    from katcore.engine import SamplingParams
    from katcore.engine.sglang import SGLangEngine
    from katcore.gateway.model import TokenModel
    from katcore.gateway.process import prepare_process
    from katcore.gateway.server import Gateway
    from katcore.gateway.session import Caps
    from katcore.model.folder import load

    prepare_process()
    chat = load(model)
    caps = Caps(calls=1 << 20, tokens=1 << 30, seconds=3600.0, context=1 << 20, completion=4096)
    captured = 0

    class Counting(SGLangEngine):
        async def stream(self, input_ids: Any, params: Any, rid: str = "") -> Any:
            nonlocal captured
            async for part in super().stream(input_ids, params, rid):
                captured += len(part.token_ids)
                yield part

    profiler = cProfile.Profile() if profile else None
    with Gateway(folder / "journal", tcp=("127.0.0.1", 0)) as gateway:
        engine = Counting(url)
        if profiler is not None:
            gateway.call(_enable(profiler))
        pipe.send(f"http://127.0.0.1:{gateway.port}")
        delivered, number = 0, 0
        while (asked := pipe.recv())[0] != "end":
            if asked[0] == "open":
                opened = []
                for _ in range(asked[1]):
                    number += 1
                    made = gateway.open(
                        f"s{number}",
                        TokenModel(engine, chat, "m"),
                        caps=caps,
                        sampling=SamplingParams(),
                        history="sampled",
                    )
                    opened.append(made)
                pipe.send([session.key for session in opened])
            elif asked[0] == "close":
                for session in gateway.sessions():
                    trace = gateway.close_session(session)
                    delivered += sum(to - at for node in trace.nodes for at, to in node.sampled)
                    session.journal.path.unlink()
                pipe.send((delivered, captured))
            elif asked[0] == "cpu":
                pipe.send(time.process_time())
            else:
                pipe.send(_rss_mib(os.getpid()))
        if profiler is not None:
            gateway.call(_disable(profiler))
            profiler.dump_stats(str(profile))
        gateway.call(engine.close())


async def _enable(profiler: cProfile.Profile) -> None:
    profiler.enable()


async def _disable(profiler: cProfile.Profile) -> None:
    profiler.disable()


def _rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


class Command:
    """`kat-rollout gateway` itself, with as many processes as it is told, on these cores."""

    def __init__(
        self, program: Path, engine: str, folder: Path, sessions: int, cores: Sequence[int], processes: int = 1
    ) -> None:
        from katcore.model.folder import load

        load().save(folder / "M")
        here = Path(tempfile.mkdtemp(dir=folder))
        keys = here / "keys.jsonl"
        argv = [str(program), "gateway", "--engine", f"sglang:{engine}", "--model", str(folder / "M")]
        argv += ["--sessions", str(sessions), "--keys", str(keys), "--journals", str(here / "journals")]
        argv += ["--processes", str(processes)] if processes > 1 else []  # which older commits lack
        self._process = subprocess.Popen(
            argv,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        while not keys.exists():
            if self._process.poll() is not None:
                raise SystemExit("the gateway does not start")
            time.sleep(0.05)
        access = [json.loads(line) for line in keys.read_text().splitlines()]
        self.url: str = access[0]["anthropic_base_url"]
        self.keys: list[str] = [each["key"] for each in access]

    def cpu_s(self) -> float:
        """Seconds of processor time so far, of it and of the processes that it has started."""
        listed = [
            pid
            for task in Path(f"/proc/{self._process.pid}/task").iterdir()
            for pid in (task / "children").read_text().split()
        ]
        return sum(map(_cpu_s, [str(self._process.pid), *listed]))

    def close(self) -> None:
        """End it, without its trajectories."""
        self._process.kill()
        self._process.wait()


def _cpu_s(pid: str) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Peer:
    """LiteLLM's proxy in front of the same engine, from a folder of its own beside KAT's cache."""

    def __init__(self, core: int, engine: str, folder: Path) -> None:
        home = _installed(LITELLM)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        made = {"model": "openai/m", "api_base": f"{engine}/v1", "api_key": "none"}
        config = folder / "litellm.json"  # JSON is YAML
        config.write_text(json.dumps({"model_list": [{"model_name": "m", "litellm_params": made}]}))
        env = {**os.environ, "PYTHONPATH": str(home), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}
        env["LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"] = "true"  # as open as the engine behind it
        self.url = f"http://127.0.0.1:{port}"
        self._log = (folder / "litellm.log").open("wb")
        argv = [sys.executable, "-c", "from litellm import run_server; run_server()"]
        argv += ["--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
        self._process = subprocess.Popen(argv, env=env, stdout=self._log, stderr=self._log)
        os.sched_setaffinity(self._process.pid, {core})
        self._wait(folder / "litellm.log")

    def cpu_s(self) -> float:
        """Seconds of processor time so far."""
        return _cpu_s(str(self._process.pid))

    def close(self) -> None:
        """End it. May be called twice."""
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._log.close()

    def _wait(self, log: Path) -> None:
        for _ in range(600):
            if self._process.poll() is not None:
                raise SystemExit(f"the peer does not start: {log.read_text()[-2000:]}")
            with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
                urllib.request.urlopen(f"{self.url}/health/liveliness", timeout=5).close()
                return
            time.sleep(0.5)
        raise SystemExit("the peer does not answer")


def _installed(package: str) -> Path:
    from katcore.disk.cache import cache_dir

    home = cache_dir("bench") / "litellm"
    if not (home / "litellm").is_dir():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(home), package]
        subprocess.run(pip, check=True)
    return home
