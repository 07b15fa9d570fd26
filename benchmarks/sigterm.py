"""How long a command lives after SIGTERM with 32 rollouts under way, and when nothing of it is left.

    DOCKER_HOST=$(scripts/docker-engine start /tmp/engine) python -m benchmarks.sigterm [--rounds 3] [--json FILE]

`kat-rollout -j 32` with bash-loop; once all 32 agents are at work it is given a few seconds more, then SIGTERM.
`embedded`: the small model that `kat-train init` makes answers; `unanswered`: an endpoint takes each call and says
nothing; `command`: the model has spoken, and each agent's command sleeps in its box. In turns quiet and with busy loops
beside it, one for each processor. `exit_s`: until the process has ended; `gone_s`: until no process, mount, folder of
boxes, socket, cgroup or container is left either. Without DOCKER_HOST boxes are bubblewrap's alone.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.left_behind import left_behind, locked
from benchmarks.rollouts import tasks

ROOT = Path(__file__).resolve().parent.parent
ROLLOUTS = 32
SETTLED_S = 5.0
PATIENCE_S = 600.0
CASES = (
    ("embedded", "bubblewrap"),
    ("unanswered", "bubblewrap"),
    ("command", "bubblewrap"),
    ("unanswered", "docker"),
    ("command", "docker"),
)


class Silent(http.server.BaseHTTPRequestHandler):
    """Takes a request and does not answer; `asked` has an entry for each."""

    asked: list[bytes] = []

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(PATIENCE_S)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def silence() -> Iterator[str]:
    """The URL of an endpoint that never answers."""
    Silent.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes that do nothing but count."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"], env={}) for _ in range(loops)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def engine(kind: str, folder: Path, stack: ExitStack) -> list[str]:
    """The options that name what answers."""
    if kind == "embedded":
        if not (folder / "model").exists():
            subprocess.run(["kat-train", "init", "--out", folder / "model", "-q"], check=True)
        return ["--model", str(folder / "model")]
    if kind == "unanswered":
        url = stack.enter_context(silence())
        return ["--engine", f"openai:{url}", "--upstream-model", "m", "--key-variable", "NO_KEY"]
    return ["--engine", f"scripted:{folder / 'script.jsonl'}"]


def under_way(kind: str, out: Path) -> int:
    """How many agents are where they are wanted: waiting for an answer, or for their command."""
    if kind == "unanswered":
        return len(Silent.asked)
    lines = 3 if kind == "command" else 1  # a header, then calls that were answered
    journals = out.with_name(out.name + ".calls").glob("*.jsonl")
    return sum(path.read_bytes().count(b"\n") >= lines for path in journals)


def once(kind: str, sandbox: str, loops: int, folder: Path, round_: int) -> dict[str, float]:
    """One run and its end."""
    cache = folder / "cache"
    out = folder / f"{kind}-{sandbox}-{loops}-{round_}.jsonl"
    with ExitStack() as stack:
        command = tasks(folder, ROLLOUTS, 600.0)[:2]
        command += [*engine(kind, folder, stack), "--sandbox", sandbox, "-j", str(ROLLOUTS), "-o", str(out)]
        env = {**os.environ, "KAT_CACHE": str(cache), "NO_KEY": "-"}
        stack.enter_context(busy(loops))
        process = subprocess.Popen(command, stderr=subprocess.PIPE, env=env)
        while under_way(kind, out) < ROLLOUTS:
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
        time.sleep(SETTLED_S)
        folders = locked(process.pid)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate()
        exit_s = time.monotonic() - began
        assert process.returncode == 143, said
        while left := list(left_behind(cache, folders)):
            assert time.monotonic() - began < PATIENCE_S, left
            time.sleep(0.02)
        return {"exit_s": round(exit_s, 3), "gone_s": round(time.monotonic() - began, 3)}


def measure(rounds: int, folder: Path) -> list[dict[str, Any]]:
    """All cases, quiet and busy in turns."""
    docker = bool(os.environ.get("DOCKER_HOST"))
    found = []
    for kind, sandbox in [case for case in CASES if docker or case[1] != "docker"]:
        for number in range(rounds):
            for loops in (0, os.cpu_count() or 1):
                taken = once(kind, sandbox, loops, folder, number)
                found.append({"case": kind, "sandbox": sandbox, "busy_loops": loops, **taken})
                print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/sigterm.json")
    given = parser.parse_args()
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as scratch:
        runs = measure(given.rounds, Path(scratch))
    result = {
        "benchmark": "sigterm", "commit": commit.stdout.strip(), "python": platform.python_version(),
        "kernel": platform.release(), "cpus": os.cpu_count(), "load_before": round(load, 2), "rollouts": ROLLOUTS,
        "exit_s_max": max(run["exit_s"] for run in runs), "gone_s_max": max(run["gone_s"] for run in runs),
        "runs": runs,
    }  # fmt: skip
    given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
