"""How long a bubblewrap box takes from nothing to a process that ended, beside bare bubblewrap in the same run.

    python benchmarks/sandbox_start.py [--runs 200] [--alive 200] [--json FILE]

`box`: create over a repository, `exec` of /bin/true through an overlay, close, one after the other; `exec`: the exec
alone in a box that is kept; `bare`: `bwrap true` with the same namespaces and none of KAT's mounts. The three take
turns, so that a busy machine slows all of them. `alive`: that many boxes at once, each with one sleeping process; their
memory is what the kernel charges to the boxes' cgroups (page tables, namespaces and their own page cache included).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from katcore.errors import SandboxError
from katcore.sandbox import Box, Mount, Spec, limits, sandbox

ROOT = Path(__file__).resolve().parent.parent
BARE = ["bwrap", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--proc", "/proc", "--dev", "/dev", "--unshare-all",
        "--die-with-parent", "--new-session", "--clearenv", "/bin/true"]  # fmt: skip

CHARGED = ("memory.usage_in_bytes", "memory.current")


def milliseconds(action: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    action()
    return (time.perf_counter() - begun) * 1000


def quantiles(samples: list[float]) -> dict[str, float]:
    """p50 and p95 in milliseconds."""
    ordered = sorted(samples)
    return {name: round(ordered[int(len(ordered) * share)], 2) for name, share in (("p50_ms", 0.5), ("p95_ms", 0.95))}


def charged_mib() -> float | None:
    """Memory of all boxes of this run; None without cgroups."""
    if not limits.parents():
        return None
    files = [file for file in limits.parents()[0].glob(f"{limits.PREFIX}*-bench-*/memory.*") if file.name in CHARGED]
    return sum(int(file.read_text()) for file in files) / (1 << 20)


def start(runs: int, repo: Path) -> dict[str, Any]:
    """The three ways in turns."""
    boxes = sandbox()
    kept = boxes.create(Spec("bench", repo=repo))

    def whole() -> None:
        box = boxes.create(Spec("bench", repo=repo))
        assert box.exec(["/bin/true"]).code == 0
        box.close()

    ways: dict[str, Callable[[], Any]] = {
        "box": whole,
        "exec": lambda: kept.exec(["/bin/true"]),
        "bare": lambda: subprocess.run(BARE, check=True, stdin=subprocess.DEVNULL, capture_output=True),
    }
    samples: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(runs + 5):
        for name, action in ways.items():
            taken = milliseconds(action)
            if turn >= 5:
                samples[name].append(taken)
    kept.close()
    found: dict[str, Any] = {name: quantiles(taken) for name, taken in samples.items()}
    found["box_over_bare"] = round(found["box"]["p50_ms"] / found["bare"]["p50_ms"], 2)
    return found | {"samples_ms": {name: [round(one, 2) for one in taken] for name, taken in samples.items()}}


def _until_closed(box: Box, script: str, name: str) -> None:
    with suppress(SandboxError):
        box.exec(["/bin/sh", "-c", script, name], timeout_s=3600)


def alive(count: int, repo: Path) -> dict[str, Any]:
    """Boxes at once, each with a process that waits for the end of all: memory of each, and what starting them took."""
    boxes = sandbox()
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        gate = Path(folder)
        begun = time.perf_counter()
        mounts = (Mount(gate, "/opt/gate", writable=True),)
        made = [boxes.create(Spec("bench", repo=repo, mounts=mounts)) for _ in range(count)]
        wait = "touch /opt/gate/$0; exec tail -f /dev/null"
        threads = [threading.Thread(target=_until_closed, args=(box, wait, f"up{n}")) for n, box in enumerate(made)]
        for thread in threads:
            thread.start()
        while len(list(gate.iterdir())) < count:
            time.sleep(0.05)
        up, used = time.perf_counter() - begun, charged_mib()
        begun = time.perf_counter()
        for box in made:
            box.close()
        for thread in threads:
            thread.join()
        down = time.perf_counter() - begun
    each = None if used is None else round(used / count, 2)
    runner = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "boxes": count,
        "up_s": round(up, 2),
        "down_s": round(down, 2),
        "mib_each": each,
        "runner_mib": round(runner),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--alive", type=int, default=200)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/sandbox_start.json")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as folder:
        os.environ["KAT_CACHE"] = f"{folder}/cache"
        repo = Path(folder) / "repo"
        subprocess.run(["git", "clone", "-q", "--no-hardlinks", str(ROOT), str(repo)], check=True)
        load = os.getloadavg()[0]
        result = {
            "benchmark": "sandbox_start",
            "commit": _said("git", "-C", str(ROOT), "rev-parse", "HEAD"),
            "bubblewrap": _said("bwrap", "--version"),
            "kernel": platform.release(),
            "python": platform.python_version(),
            "cpus": os.cpu_count(),
            "load_before": round(load, 2),
            "runs": given.runs,
            "start": start(given.runs, repo),
            "alive": alive(given.alive, repo),
        }
    given.json.write_text(json.dumps(result, indent=2) + "\n")
    result["start"].pop("samples_ms")
    print(json.dumps(result, indent=2))


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    main()
