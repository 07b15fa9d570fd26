"""Hundreds of rollouts at once on one host: what each costs in memory, and how fast they come out.

    python -m benchmarks.rollouts [-n ROLLOUTS] [-j JOBS] [--sleep SECONDS] [--json]

Runs `kat-rollout -j JOBS` with bash-loop and a script of three commands, the second of which sleeps, so that JOBS
rollouts are alive together. Every half second the runner's resident memory is read, and the proportional share (PSS) of
all processes in its boxes. `runner_mib_per_rollout` is the runner's growth over its size with one rollout, divided by
how many were alive then; `box_mib_per_rollout` is what a box's processes take (bubblewrap, bash-loop's Python, shell).
Bounded: `runner_mib_second_half` over `runner_mib_first_half`, the peaks of the run's halves. Not here: a model.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.rollout_start import archive

MIB = 1 << 20


@dataclass
class Look:
    """One look at the run."""

    at_s: float
    alive: int
    runner_mib: float
    boxes_mib: float
    threads: int
    files: int


@dataclass
class Watched:
    """All looks at one run, and what it wrote."""

    seconds: float = 0.0
    looks: list[Look] = field(default_factory=list)
    first_out_s: float = 0.0
    summary: dict[str, float] = field(default_factory=dict)


def tasks(folder: Path, count: int, sleep_s: float) -> list[str]:
    """The command's input: `count` tasks, one sample each."""
    from katcore.environment.built import environment_digest, this_base, this_platform
    from katcore.records import Environment, Task, TaskSource, encode

    where = (this_base(), this_platform())
    environment = Environment(base=where[0], platform=where[1], digest=environment_digest(*where, []))
    source = TaskSource(kind="inline", url=archive())
    with (folder / "tasks.jsonl").open("wb") as file:
        for number in range(count):
            made = Task(
                instance_id=f"load-{number}", repo="load", base_commit="0", created_at="2024-01-01T00:00:00Z",
                problem_statement="Look around.", source=source, environment=environment,
            )  # fmt: skip
            file.write(encode(made) + b"\n")
    commands = ["ls -R | head -50", f"sleep {sleep_s}", "echo VALUE = 1 > new.py"]
    calls = [{"function": {"name": "bash", "arguments": json.dumps({"command": command})}} for command in commands]
    messages = [{"role": "assistant", "tool_calls": [call]} for call in calls]
    (folder / "script.jsonl").write_text(json.dumps({"messages": messages}) + "\n")
    return ["kat-rollout", str(folder / "tasks.jsonl"), "--engine", f"scripted:{folder / 'script.jsonl'}"]


def watch(command: list[str], cache: Path) -> Watched:
    """Run it and look at it every half second."""
    env = {**os.environ, "KAT_CACHE": str(cache)}
    found, began = Watched(), time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*command, "--log-format", "json"], stdout=out, stderr=said, env=env)
        while process.poll() is None:
            found.looks.append(look(process.pid, time.monotonic() - began))
            if not found.first_out_s and os.fstat(out.fileno()).st_size > 20_000:
                found.first_out_s = time.monotonic() - began
            time.sleep(0.5)
        found.seconds = time.monotonic() - began
        said.seek(0)
        lines = said.read().splitlines()
    assert process.returncode == 0, lines
    found.summary = json.loads(lines[-1])
    return found


def look(runner: int, at_s: float) -> Look:
    """Memory of the runner and of everything below it."""
    try:
        status = Path(f"/proc/{runner}/status").read_text()
        files = len(list(Path(f"/proc/{runner}/fd").iterdir()))
    except OSError:  # it has just ended
        return Look(at_s, 0, 0.0, 0.0, 0, 0)
    boxes, alive = 0.0, 0
    for pid, name in below(runner):
        boxes += pss(pid)
        alive += name == "python3"
    value = {line.partition(":")[0]: line.partition(":")[2].split() for line in status.splitlines()}
    return Look(at_s, alive, int(value["VmRSS"][0]) / 1024, boxes, int(value["Threads"][0]), files)


def below(runner: int) -> list[tuple[int, str]]:
    """Descendants with their names."""
    children: dict[int, list[tuple[int, str]]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                head, _, rest = (folder / "stat").read_text().rpartition(")")
            except OSError:
                continue
            children.setdefault(int(rest.split()[1]), []).append((int(folder.name), head.partition("(")[2]))
    found, waiting = [], [runner]
    while waiting:
        there = children.get(waiting.pop(), [])
        found += there
        waiting += [pid for pid, _ in there]
    return found


def pss(pid: int) -> float:
    """MiB of a process, shared pages divided among who shares them; 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def measure(rollouts: int, jobs: int, sleep_s: float) -> dict[str, float]:
    """One run with a rollout at a time, one with many."""
    with tempfile.TemporaryDirectory(prefix="kat-load-") as name:
        folder = Path(name)
        one = watch([*tasks(folder, 2, 1.0), "-j", "1"], folder / "cache")
        many = watch([*tasks(folder, rollouts, sleep_s), "-j", str(jobs)], folder / "cache")
    alone = max(look.runner_mib for look in one.looks)
    busiest = max(many.looks, key=lambda look: look.alive)
    half = many.seconds / 2
    return {
        "rollouts": rollouts,
        "jobs": jobs,
        "rollouts_at_once": busiest.alive,
        "seconds": many.seconds,
        "rollouts_per_second": rollouts / many.seconds,
        "first_out_s": many.first_out_s,
        "runner_mib_alone": alone,
        "runner_mib": max(look.runner_mib for look in many.looks),
        "runner_mib_first_half": max(look.runner_mib for look in many.looks if look.at_s <= half),
        "runner_mib_second_half": max(look.runner_mib for look in many.looks if look.at_s > half),
        "runner_mib_per_rollout": (max(look.runner_mib for look in many.looks) - alone) / max(busiest.alive, 1),
        "box_mib_per_rollout": busiest.boxes_mib / max(busiest.alive, 1),
        "threads": max(look.threads for look in many.looks),
        "open_files": max(look.files for look in many.looks),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=768)
    parser.add_argument("-j", type=int, default=256)
    parser.add_argument("--sleep", type=float, default=45.0)
    parser.add_argument("--json", action="store_true", help="JSON to standard output, and no file")
    given = parser.parse_args()
    found = measure(given.n, given.j, given.sleep)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    result = {
        "commit": commit.stdout.strip(), "python": platform.python_version(), "machine": platform.machine(),
        "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1),
        **{name: round(value, 3) for name, value in found.items()},
    }  # fmt: skip
    if given.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:<24} {value}")
    out = Path(__file__).parent / "results" / "rollouts.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
