"""How fast boxes start and run a process, how many live at once, what each weighs, and whether all are reclaimed.

    python benchmarks/sandbox.py [--sandbox bubblewrap --sandbox docker] [--runs 100] [--alive 1000] [--docker-alive 60]
                                 [--json FILE]

One object for each kind of sandbox. `start_ms`: create over a repository and its first process, /bin/true, to its end
(bubblewrap: with an overlay). `exec_ms`: a process in a box that is kept. `alive` boxes then sleep at the same time,
one process each; `mib_each` is what this machine's memory lost to them (MemAvailable, before and while they live) for
each. `left_over`: boxes, containers, cgroups and processes that are there after all were closed and were not before.
Docker needs an engine (`DOCKER_HOST`; scripts/docker-engine starts one).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from katcore.errors import SandboxError
from katcore.sandbox import Box, Limits, Sandbox, Spec, limits, owner, sandbox

SMALL = Limits(memory_mib=256, pids=32)


def quantiles(name: str, samples: list[float]) -> dict[str, float]:
    """p50 and p95 in milliseconds."""
    ordered = sorted(samples)
    return {f"{name}_p{int(q * 100)}": round(ordered[int(len(ordered) * q)] * 1000, 1) for q in (0.5, 0.95)}


def timed(box: Box) -> float:
    """Seconds of one process."""
    begun = time.perf_counter()
    assert box.exec(["/bin/true"]).code == 0
    return time.perf_counter() - begun


def start(boxes: Sandbox, repo: Path, runs: int) -> list[float]:
    """Seconds from nothing to the end of a first process, one box after the other."""
    samples = []
    for _ in range(runs + 1):
        begun = time.perf_counter()
        box = boxes.create(Spec("bench", repo=repo, limits=SMALL))
        timed(box)
        samples.append(time.perf_counter() - begun)
        box.close()
    return samples[1:]  # the first one makes what all share


def available_mib() -> float:
    """What this machine could still give."""
    fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
    return int(fields["MemAvailable"].split()[0]) / 1024


def alive(boxes: Sandbox, repo: Path, count: int) -> tuple[int, float]:
    """How many boxes ran a sleeping process at once, and the MiB of each."""
    before = available_mib()
    made = [boxes.create(Spec("bench", repo=repo, limits=SMALL)) for _ in range(count)]
    threads = [threading.Thread(target=sleep, args=(box,)) for box in made]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 300
    while (running := sleepers()) < count and time.monotonic() < deadline:
        time.sleep(0.5)
    weight = (before - available_mib()) / count
    for box in made:
        box.close()
    for thread in threads:
        thread.join()
    return running, round(weight, 2)


def sleep(box: Box) -> None:
    """Until the box is closed."""
    with suppress(SandboxError):
        box.exec(["/bin/sleep", "3141"], timeout_s=3600)


def sleepers() -> int:
    """Sleeping processes of boxes, each counted once: its launchers have other command lines."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            found += (process / "cmdline").read_bytes() == b"/bin/sleep\x003141\0"
    return found


def things() -> set[str]:
    """Boxes' folders, cgroups and containers of this machine that belong to this process."""
    mine = owner.owned()
    found = {str(path) for path in mine.iterdir() if (path / "upper").is_dir()}
    found |= {str(path) for place in limits.parents() for path in place.glob(f"{limits.PREFIX}{mine.name}-*")}
    if os.environ.get("DOCKER_HOST"):
        command = ["docker", "ps", "--all", "--quiet", "--filter", f"label=kat.owner={mine.name}"]
        found |= set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    return found


def measure(name: str, runs: int, count: int, repo: Path) -> dict[str, Any]:
    """The object of one kind of sandbox."""
    boxes = sandbox(name)
    before = things()
    starts = start(boxes, repo, runs)
    kept = boxes.create(Spec("bench", repo=repo, limits=SMALL))
    execs = [timed(kept) for _ in range(runs)]
    kept.close()
    running, weight = alive(boxes, repo, count)
    time.sleep(0.5)
    return {
        **quantiles("start_ms", starts),
        "exec_ms_p50": quantiles("exec_ms", execs)["exec_ms_p50"],
        "alive": running,
        "mib_each": weight,
        "left_over": len(things() - before) + sleepers(),
    }


def main() -> None:
    """Print one object for each kind of sandbox."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sandbox", action="append", choices=["bubblewrap", "docker"])
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--alive", type=int, default=1000)
    parser.add_argument("--docker-alive", type=int, default=60)
    parser.add_argument("--json", type=Path, nargs="?", help="write all of it to a file, too")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        repo = Path(folder)
        (repo / "code.py").write_text("x = 1\n")
        found: dict[str, Any] = {"machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}"}
        for name in chosen.sandbox or ["bubblewrap", "docker"]:
            count = chosen.docker_alive if name == "docker" else chosen.alive
            found[name] = measure(name, chosen.runs, count, repo)
            print(json.dumps({name: found[name]}), flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
