"""Starts SGLang's own server, and its router, as processes of ours, and ends them.

In: the python that has `sglang` (its own environment: it pins another torch), a model folder, more flags. Out: a URL
that answers. `scripts/sglang/install` makes an environment that runs on a CPU, for tests; docs/engines.md says how one
for a GPU is made.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from katcore.errors import EngineError

ON_CPU = (
    *("--device", "cpu", "--dtype", "float32", "--attention-backend", "torch_native", "--grammar-backend", "none"),
    *("--sampling-backend", "pytorch", "--disable-cuda-graph", "--disable-overlap-schedule"),
    *("--skip-server-warmup", "--max-total-tokens", "20000"),
)
"""Flags for a small model in fp32 without a GPU; set SGLANG_USE_CPU_ENGINE=1 too."""
CPU_ENVIRONMENT = {"SGLANG_USE_CPU_ENGINE": "1"}

_GRACE_S = 15.0
_POLL_S = 0.2


class Launched:
    """A running server; `close` ends it and all its processes."""

    def __init__(self, command: Sequence[str], url: str, health: str, patience: float, env: Mapping[str, str]) -> None:
        """Start `command` and wait for `url`; EngineError with its last words when it ends or takes too long."""
        self.url = url
        self._log = tempfile.NamedTemporaryFile(prefix="kat-launch-", suffix=".log")  # noqa: SIM115  (`close` does)
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=os.environ | dict(env),
        )
        try:
            self._wait(url + health, patience)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The first of its processes; the others are in its group."""
        return self._process.pid

    def close(self) -> None:
        """SIGTERM, and SIGKILL to what is left after 15 s."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.pid, number)
            except ProcessLookupError:
                break
            try:
                self._process.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                continue
        self._log.close()

    def __enter__(self) -> Launched:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wait(self, url: str, patience: float) -> None:
        end = time.monotonic() + patience
        while not _answers(url):
            if self._process.poll() is not None:
                raise EngineError(f"the server ended with {self._process.returncode}: {self._last_words()}")
            if time.monotonic() > end:
                raise EngineError(f"the server did not answer within {patience:.0f} s: {self._last_words()}")
            time.sleep(_POLL_S)

    def _last_words(self) -> str:
        lines = Path(self._log.name).read_text(errors="replace").split("\n")
        return " | ".join(line.strip() for line in lines if line.strip())[-500:]


def launch(
    folder: str | Path,
    python: str | Path,
    flags: Sequence[str] = (),
    *,
    environment: Mapping[str, str] | None = None,
    patience: float = 600.0,
) -> Launched:
    """SGLang's server over a model folder, on a free port of this machine. `patience` in seconds."""
    port = _free_port()
    command = [str(python), "-m", "sglang.launch_server", "--model-path", str(folder), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--incremental-streaming-output", *flags]
    return Launched(command, f"http://127.0.0.1:{port}", "/health", patience, environment or {})


def launch_router(
    workers: Sequence[str], python: str | Path, flags: Sequence[str] = (), *, patience: float = 120.0
) -> Launched:
    """`sglang-router` in front of running servers; cache-aware unless `flags` say otherwise."""
    port, metrics = _free_port(), _free_port()
    command = [str(python), "-m", "sglang_router.launch_router", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--prometheus-port", str(metrics), "--policy", "cache_aware", "--worker-urls", *workers, *flags]
    return Launched(command, f"http://127.0.0.1:{port}", "/readiness", patience, {})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=10) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
