"""A runner that is killed while the engine makes or starts its container leaves none behind."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.left_behind import left_behind
from tests.support.waiting import until

pytestmark = pytest.mark.slow

RUNNER = """
import os, signal, sys, threading, time
from pathlib import Path
from katcore.sandbox import Spec
from katcore.sandbox.docker.sandbox import Docker

call, before, name, repo = sys.argv[1], float(sys.argv[2]), sys.argv[3], sys.argv[4]
boxes = Docker()
boxes.create(Spec(name="first")).close()
done = getattr(boxes.client, call)
def killed(*arguments, **words):
    if before < 0:
        done(*arguments, **words)
    else:
        threading.Thread(target=done, args=arguments, kwargs=words).start()
        time.sleep(before)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(boxes.client, call, killed)
boxes.create(Spec(name=name, repo=Path(repo)))
"""


WHERE = [
    ("create_container", -1),
    ("create_container", 0.001),
    ("create_container", 0.03),
    ("put_archive", -1),
    ("commit", 0.01),
    ("attach_socket", -1),
    ("start", 0.001),
    ("start", 0.1),
    ("start", -1),
]
"""The engine's call during which the runner dies, and how long after its start; below zero, right after its end."""
KNOWN = ("attach_socket", "start")
"""Calls at which the box's container is known to be there: who removes it knows when it is gone."""


def containers(cache: Path) -> list[str]:
    """All containers that runners with this cache made."""
    labels = (f"kat.cache={cache / 'box'}", f"kat.maker={cache}")
    found = []
    for label in labels:
        command = ["docker", "ps", "--all", "--quiet", "--filter", f"label={label}"]
        found += subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return found


def test_the_container_of_a_runner_that_lives_is_seen(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, repo = tmp_path / "cache", tmp_path / "repo"
    monkeypatch.setenv("KAT_CACHE", str(cache))
    repo.mkdir()
    holds = RUNNER.replace("os.kill(os.getpid(), signal.SIGKILL)", 'print("holds", flush=True); sys.stdin.read()')
    command = [sys.executable, "-c", holds, "start", "-1", "alive", str(repo)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "holds\n"
        assert len(set(containers(cache))) == 1
        process.kill()
    for _ in range(300):
        if not containers(cache):
            return
        time.sleep(0.1)
    raise AssertionError(f"a container is still there after 30 s: {containers(cache)}")


@pytest.mark.parametrize(("call", "seconds"), WHERE)
def test_no_container_stays_of_a_runner_that_is_killed_on_the_way(
    call: str, seconds: float, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, repo = tmp_path / "cache", tmp_path / "repo"
    monkeypatch.setenv("KAT_CACHE", str(cache))
    repo.mkdir()
    (repo / "file").write_text(f"{call} {seconds}")  # a new layer
    command = [sys.executable, "-c", RUNNER, call, str(seconds), "killed", str(repo)]
    ended = subprocess.run(command, check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    time.sleep(1)  # what the engine was asked for before the end, it still does
    until(lambda: not containers(cache), 30)
    if call in KNOWN:
        until(lambda: not list(left_behind(cache, [])), 30)


def test_what_has_an_id_and_is_gone_is_not_waited_for(engine: str) -> None:
    command = [sys.executable, "-m", "katcore.sandbox.docker.starting", "0" * 64]
    subprocess.run(command, check=True, timeout=30)
