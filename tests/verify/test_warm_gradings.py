"""Gradings of one task on a Docker engine: the next box waits, gives the same verdicts, and dies with its runner."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from katcore.options.boxes import BoxOptions
from katcore.records import Task, encode
from katcore.sandbox.warm import Warm
from katcore.verify import grader
from katcore.verify.grader import Grader
from katcore.verify.options import TestOptions
from tests.support.grading import CALM, FIXED, patch

pytestmark = pytest.mark.slow

BIN = Path(sys.executable).parent


@pytest.fixture
def own(task: Task, request: pytest.FixtureRequest) -> Task:
    """The task under a name that no other test grades beside this one."""
    return msgspec.structs.replace(task, instance_id=f"warm-{abs(hash(request.node.name)):x}")


def boxes(cache: Path, task: Task) -> list[str]:
    """The containers of gradings of the task whose runner uses this cache."""
    labels = (f"kat.box=verify-{task.instance_id}", f"kat.cache={cache / 'box'}")
    filters = [word for label in labels for word in ("--filter", f"label={label}")]
    found = subprocess.run(["docker", "ps", "--all", "--quiet", *filters], check=True, capture_output=True, text=True)
    return found.stdout.split()


def until(condition: Callable[[], bool]) -> None:
    for _ in range(1500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("did not happen in 30 s")


def test_gradings_of_one_task_find_a_box_ready(own: Task, cache: Path, engine: str) -> None:
    grader._sandbox.cache_clear()
    try:
        gold = patch({"calm/__init__.py": FIXED})
        worse = patch({"calm/__init__.py": CALM.replace("a - b", "a * b")})
        seen = [
            Grader(TestOptions(reuse=False, boxes=BoxOptions(sandbox="docker"))).grade(own, each)
            for each in (gold, worse, gold, gold)
        ]
        assert [verdict.passed for verdict in seen] == [True, False, True, True] and seen[0] == seen[2] == seen[3]
        assert isinstance(grader._sandbox("docker"), Warm) and len(boxes(cache, own)) == 1, "one waits"
        assert not isinstance(grader._sandbox("bubblewrap"), Warm)
    finally:
        waiting = grader._sandbox("docker")
        assert isinstance(waiting, Warm)
        waiting.close()
        grader._sandbox.cache_clear()
    assert boxes(cache, own) == []


def test_kill_9_of_the_command_leaves_neither_the_box_in_use_nor_the_one_that_waits(
    own: Task, cache: Path, engine: str
) -> None:
    command = [BIN / "kat-verify", "validate", "--sandbox", "docker", "--no-reuse"]
    solved = msgspec.structs.replace(own, patch=patch({"calm/__init__.py": FIXED}))
    runner = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert runner.stdin
    runner.stdin.write(encode(solved) + b"\n")
    runner.stdin.close()
    until(lambda: len(boxes(cache, own)) >= 2)
    runner.kill()
    runner.wait()
    until(lambda: boxes(cache, own) == [])
