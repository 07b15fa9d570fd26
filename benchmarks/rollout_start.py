"""What a rollout costs before and around the model: box, agent, gateway, patch, with an agent that stops at once.

    python benchmarks/rollout_start.py [-n ROLLOUTS]    prints a table, writes benchmarks/results/rollout_start.json

The task is a repository of 200 files without dependencies; the scaffold is `nop`, so that the model takes no time. The
environment and the workspace are in the cache, as they are from a task's second rollout on. Parts are medians over
rollouts one after the other; `rollouts_per_s` is of as many rollouts, four at a time. Not here: generation, grading.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import platform
import statistics
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path

FILES = 200
JOBS = 4


def archive() -> str:
    """A data URL of a repository."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for number in range(FILES):
            data = f"VALUE = {number}\n".encode() * 100
            info = tarfile.TarInfo(f"package/part_{number % 10}/module_{number}.py")
            info.size, info.mode = len(data), 0o644
            tar.addfile(info, io.BytesIO(data))
    return "data:application/gzip;base64," + base64.b64encode(buffer.getvalue()).decode()


def measure(rollouts: int) -> dict[str, float]:
    """Seconds of each part."""
    from katcore.environment.built import environment_digest, this_base, this_platform
    from katcore.records import Environment, Task, TaskSource
    from katcore.rollout.attempts import Attempt, Setup
    from katcore.rollout.options import AgentOptions, RolloutOptions
    from katcore.rollout.roller import roll
    from katcore.rollout.service import Service

    where = (this_base(), this_platform())
    environment = Environment(base=where[0], platform=where[1], digest=environment_digest(*where, []))
    task = Task(
        instance_id="start", repo="start", base_commit="0", created_at="2024-01-01T00:00:00Z",
        problem_statement="Do nothing.", source=TaskSource(kind="inline", url=archive()), environment=environment,
    )  # fmt: skip
    began = time.perf_counter()
    service = Service(Setup(RolloutOptions(agent=AgentOptions(scaffold="nop"))))
    opened = time.perf_counter() - began
    try:
        roll(service, Attempt("warm", task, 0))
        parts: dict[str, list[float]] = {"boot_s": [], "agent_s": [], "model_call_s": [], "rollout_s": []}
        for number in range(rollouts):
            began = time.perf_counter()
            made = roll(service, Attempt(f"r{number}", task, 0))
            parts["rollout_s"].append(time.perf_counter() - began)
            parts["boot_s"].append(made.timing.boot)
            parts["agent_s"].append(made.timing.agent)
            parts["model_call_s"].append(made.calls[0].seconds)
            assert made.exit.kind == "submitted", made.exit
        concurrent = together(service, task, rollouts)
    finally:
        service.close()
    return {
        "service_s": opened,
        **{name: statistics.median(values) for name, values in parts.items()},
        f"rollouts_per_s_at_{JOBS}": rollouts / concurrent,
    }


def together(service: object, task: object, rollouts: int) -> float:
    """Seconds for all rollouts, JOBS at a time."""
    from katcore import pool
    from katcore.rollout.attempts import Attempt
    from katcore.rollout.roller import Roller

    items = (pool.Item(str(n), Attempt(f"c{n}", task, 0)) for n in range(rollouts))  # type: ignore[arg-type]
    began = time.perf_counter()
    list(pool.run(Roller(service.setup, service), items, JOBS))  # type: ignore[attr-defined, arg-type]
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=30)
    rollouts = parser.parse_args().n
    with tempfile.TemporaryDirectory() as cache:
        os.environ["KAT_CACHE"] = cache
        found = measure(rollouts)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    result = {
        "commit": commit.stdout.strip(), "python": platform.python_version(), "machine": platform.machine(),
        "cpus": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "rollouts": rollouts,
        **{name: round(value, 4) for name, value in found.items()},
    }  # fmt: skip
    for name, value in result.items():
        print(f"{name:<22} {value}")
    out = Path(__file__).parent / "results" / "rollout_start.json"
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
