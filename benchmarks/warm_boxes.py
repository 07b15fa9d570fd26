"""What boxes started ahead are worth: one patch is graded again and again on a Docker engine with and without them.

    DOCKER_HOST=$(scripts/docker-engine start /tmp/engine) python -m benchmarks.warm_boxes [--rounds 20] [--json FILE]

The task and the patch are those of `grade.py`: 20 modules, 200 tests, and each grading is three runs in boxes of their
own, as those of a validation or of a group of attempts. `cold`: every box is started when it is wanted; `warm`: as
kat-verify does it. Nothing is taken from the cache but the built environment, the checkout and the engine's images. The
two take turns, so that a busy machine slows both; ratios are those of the rounds, each of its own pair.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.grade import EACH, MODULES, make_task, project, seconds
from benchmarks.paired import compared, main
from benchmarks.small_task import patch
from katcore.options.boxes import BoxOptions
from katcore.sandbox import Box, Sandbox, Spec, sandbox
from katcore.sandbox.warm import Warm
from katcore.verify import grader
from katcore.verify.options import TestOptions


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


def measure(rounds: int, _: Path) -> dict[str, Any]:
    files = project()
    task, fix = make_task(files), patch({"calm/m0.py": "def f(n):\n    return n + 1\n"}, files)
    engine = sandbox("docker")
    boxes = {"cold": Counted(engine), "warm": Counted(engine)}
    used: dict[str, Sandbox] = {"cold": boxes["cold"], "warm": Warm(boxes["warm"])}
    samples: dict[str, list[float]] = {"cold": [], "warm": []}

    def graded(name: str) -> None:
        grader._sandbox = lambda _: used[name]  # type: ignore[assignment]
        verdict = grader.Grader(TestOptions(boxes=BoxOptions(sandbox="docker"), reuse=False)).grade(task, fix)
        assert verdict.reward == 1.0, verdict

    for turn in range(rounds + 2):  # the first two warm caches up
        for name in ("cold", "warm") if turn % 2 else ("warm", "cold"):
            taken = seconds(lambda: graded(name))  # noqa: B023
            if turn >= 2:
                samples[name].append(round(taken, 3))
    started = {name: found.started for name, found in boxes.items()}
    return {"boxes_started": started, **compared(samples, "warm", "cold")}


if __name__ == "__main__":
    main("warm_boxes", __doc__, MODULES * EACH, measure)
