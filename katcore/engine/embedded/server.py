"""The embedded engine: SGLang's native HTTP subset over any transformers causal LM, on CPU or one GPU.

    with EmbeddedServer("models/policy") as server:          # a thread of this process
        ... SGLangEngine(server.url) ...
    python -m katcore.engine.embedded.server --model DIR --port P   # a process; prints its URL when ready
    python -m katcore.engine.embedded.server --model DIR --device cuda:1 --dtype bfloat16

Without a device it takes a GPU if there is one, and there bfloat16; log-probs are float32 in any case. Batched
generation with KV cache, prefix reuse, streaming, grammars, log-probs of sampled and prompt tokens, weight updates from
disk and tensors. Not here: penalties, quantisation, several GPUs (that is SGLang's own business).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType

from aiohttp import web

from katcore.engine.embedded.api import Api
from katcore.engine.embedded.model import Model
from katcore.engine.embedded.process import PREFIX
from katcore.engine.embedded.worker import Sequence, Worker
from katcore.errors import EngineError, KatError
from katcore.model.folder import ChatModel, load
from katcore.model.placement import AUTO, DTYPES, Placement


def _chat(folder: str) -> ChatModel | None:
    return load(Path(folder)) if (Path(folder) / "tokenizer.json").is_file() else None


class EmbeddedServer:
    """One model served on a port (0: any free one) or on a Unix socket; `url` is set while it runs."""

    def __init__(
        self,
        model_dir: str | Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        socket: str = "",
        max_running: int = 32,
        placement: Placement = AUTO,
    ) -> None:
        self.url = ""
        self._folder = str(model_dir)
        self._host, self._port, self._socket = host, port, socket
        self._max_running = max_running
        self._placement = placement
        self._thread: threading.Thread | None = None
        self._ready: Future[str] = Future()
        self.worker: Worker
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Load the model and serve it; returns when requests are taken. KatError when it cannot."""
        device, dtype = self._placement.resolve()
        model, chat = Model(self._folder, dtype, device), _chat(self._folder)
        self._thread = threading.Thread(target=self._run, args=(model, chat), name="kat-embedded-http", daemon=True)
        self._thread.start()
        self.url = self._ready.result()

    def close(self) -> None:
        """Abort what runs and stop."""
        if self._thread is not None:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self.wait()
            self._thread = None

    def wait(self) -> None:
        """Until it is closed."""
        if self._thread is not None:
            self._thread.join()

    def stop_soon(self) -> None:
        """Like `close`, without waiting: for signal handlers."""
        self._loop.call_soon_threadsafe(self._stopping.set)

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, model: Model, chat: ChatModel | None) -> None:
        self.worker = worker = Worker(model, self._tell, max_running=self._max_running)
        try:
            self._loop.run_until_complete(self._serve(Api(worker, chat), worker))
        except OSError as reason:
            self._ready.set_exception(EngineError(f"the embedded engine cannot listen: {reason}"))
        finally:
            worker.close()
            self._loop.close()

    def _tell(self, news: list[Sequence]) -> None:
        """Hand a step's news to the loop, which is woken once for all of them."""
        self._loop.call_soon_threadsafe(_pass_on, news)

    async def _serve(self, api: Api, worker: Worker) -> None:
        runner = web.AppRunner(api.application(), access_log=None, handler_cancellation=True, shutdown_timeout=2.0)
        await runner.setup()
        try:
            self._ready.set_result(await self._listen(runner))
            await self._stopping.wait()
            worker.close()
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> str:
        if self._socket:
            await web.UnixSite(runner, self._socket).start()
            Path(self._socket).chmod(0o600)
            return f"unix:{self._socket}"
        await web.TCPSite(runner, self._host, self._port, backlog=1024).start()
        port = runner.addresses[0][1]
        return f"http://{self._host}:{port}"


def _pass_on(news: list[Sequence]) -> None:
    for sequence in news:
        sequence.told(sequence)


def launch(model_dir: str | Path, port: int = 0, socket: str = "", placement: Placement = AUTO) -> EmbeddedServer:
    """A started server in this process; `close()` ends it."""
    server = EmbeddedServer(model_dir, port=port, socket=socket, placement=placement)
    server.start()
    return server


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m katcore.engine.embedded.server", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--model", required=True, help="model folder")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--socket", default="", help="a Unix socket instead of a port")
    parser.add_argument("--max-running", type=int, default=32, help="rows decoded together")
    parser.add_argument("--child", action="store_true", help="end with standard input")
    parser.add_argument("--device", default="auto", help="auto (a GPU if there is one), cpu, cuda, cuda:N")
    parser.add_argument("--dtype", default="auto", choices=DTYPES, help="auto: bfloat16 on a GPU, float32 on a CPU")
    return parser.parse_args()


def _ends_with_input() -> None:
    """End at once when whoever started this process has closed its end, or is gone: nobody waits for an answer."""
    while os.read(0, 1 << 16):
        pass
    os._exit(0)


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    given = vars(_arguments())
    child = given.pop("child")
    try:
        placement = Placement(given.pop("device"), given.pop("dtype"))
        server = EmbeddedServer(given.pop("model"), **given, placement=placement)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: server.stop_soon())
        if child:
            threading.Thread(target=_ends_with_input, name="kat-parent", daemon=True).start()
        server.start()
    except KatError as reason:
        print(f"{PREFIX}{reason}", file=sys.stderr)
        return reason.code
    print(server.url, flush=True)
    server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
