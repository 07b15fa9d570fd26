"""What boxes started ahead are worth: one task is validated on a Docker engine with and without them.

    DOCKER_HOST=$(scripts/docker-engine start /tmp/engine) python benchmarks/warm_boxes.py [--rounds 7] [--json FILE]

The task is that of `grade.py`: 20 modules, 200 tests. `cold`: every box is started when it is wanted; `warm`: as
kat-verify does it. All probes are run each time, nothing is taken from the cache but the built environment, the
checkout and the engine's images. The two take turns, so that a busy machine slows both; ratios are of each pair.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from grade import EACH, MODULES, ROOT, make_task, patch, project, seconds

from katcore.records import Task
from katcore.sandbox import Box, Sandbox, Spec, sandbox
from katcore.sandbox.warm import Warm
from katcore.verify import grader
from katcore.verify.validation import Validator


class Counted:
    """A sandbox that counts the boxes that are started."""

    def __init__(self, boxes: Sandbox) -> None:
        self._boxes = boxes
        self.name = boxes.name
        self.started = 0

    def check(self) -> None:
        self._boxes.check()

    def create(self, spec: Spec) -> Box:
        self.started += 1
        return self._boxes.create(spec)


def validated(task: Task, boxes: Sandbox) -> None:
    found: Callable[[str], Sandbox] = lambda name: boxes  # noqa: E731
    grader._sandbox = found  # type: ignore[assignment]
    Validator("docker", reuse=False).validate(task)


def measure(rounds: int) -> dict[str, Any]:
    files = project()
    task = make_task(files)
    task.patch = patch({"calm/m0.py": "def f(n):\n    return n + 1\n"}, files)
    engine = sandbox("docker")
    samples: dict[str, list[float]] = {"cold": [], "warm": []}
    started = {}
    for turn in range(rounds + 1):  # the first warms caches up
        for name in samples:
            counted = Counted(engine)
            warm = Warm(counted) if name == "warm" else None
            taken = seconds(lambda: validated(task, warm or counted))  # noqa: B023
            if warm:
                warm.close()
            started[name] = counted.started
            if turn:
                samples[name].append(round(taken, 3))
    ratios = sorted(w / c for c, w in zip(samples["cold"], samples["warm"]))
    return {
        "boxes_started": started,
        **{f"{name}_p50_s": round(median(taken), 3) for name, taken in samples.items()},
        "ratio_p50": round(median(ratios), 3),
        "ratio_min_max": [round(ratios[0], 3), round(ratios[-1], 3)],
        "samples_s": samples,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=ROOT / "benchmarks/results/warm_boxes.json")
    given = parser.parse_args()
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    with tempfile.TemporaryDirectory(prefix="kat-bench-") as scratch:
        os.environ["KAT_CACHE"] = f"{scratch}/cache"
        load = os.getloadavg()[0]
        result = {
            "benchmark": "warm_boxes",
            "commit": commit.stdout.strip(),
            "python": platform.python_version(),
            "kernel": platform.release(),
            "cpus": os.cpu_count(),
            "load_before": round(load, 2),
            "tests": MODULES * EACH,
            "rounds": given.rounds,
            **measure(given.rounds),
        }
    given.json.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "samples_s"}, indent=2))


if __name__ == "__main__":
    main()
