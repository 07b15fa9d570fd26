"""SIGTERM ends kat-rollout with many rollouts under way at once, and nothing of them is left but what is resumed.

`benchmarks/sigterm.py` tells the seconds; here an end that takes as long as rollouts one after the other is a failure.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from benchmarks.left_behind import left_behind, locked
from katcore.records import encode
from tests.support.rollout_tasks import task
from tests.support.scripted_endpoint import Endpoint, endpoint
from tests.support.waiting import until

pytestmark = pytest.mark.slow
BOUND_S = 30
"""A call in flight had two seconds to end once, one rollout after the other: a minute."""


@pytest.fixture
def go() -> Event:
    return Event()


@pytest.fixture
def served(go: Event, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """A model that answers nobody but task 0 until `go` is set."""
    monkeypatch.setenv("SOME_KEY", "-")

    def answer(body: dict[str, Any]) -> str:
        if "task 0" not in json.dumps(body["messages"]):
            go.wait(300)
        return "Done."

    with endpoint(answer) as found:
        yield found
        go.set()


@pytest.mark.parametrize(("sandbox", "rollouts"), [("bubblewrap", 32), ("docker", 8)])
def test_many_rollouts_end_as_one_and_leave_nothing(
    sandbox: str, rollouts: int, served: Endpoint, go: Event, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if sandbox == "docker":
        request.getfixturevalue("engine")
    tasks, out, cache = tmp_path / "tasks.jsonl", tmp_path / "out.jsonl", tmp_path / "cache"
    given = [task(f"calc-{n}") for n in range(rollouts + 1)]
    for n, each in enumerate(given):
        each.problem_statement = f"task {n}."
    tasks.write_bytes(b"".join(encode(each) + b"\n" for each in given))
    command = ["kat-rollout", str(tasks), "--engine", f"openai:{served.url}", "--upstream-model", "m"]
    command += ["--key-variable", "SOME_KEY", "--sandbox", sandbox, "-j", str(rollouts), "-o", str(out), "--resume"]
    env = {**os.environ, "KAT_CACHE": str(cache)}
    running = subprocess.Popen(command, env=env, stderr=subprocess.PIPE)
    request.addfinalizer(running.kill)
    until(lambda: len(served.requests) == rollouts + 1 and b"calc-0" in _part(out), 300)
    folders = locked(running.pid)
    assert len(folders) == 2 and list(left_behind(cache, folders))
    running.send_signal(signal.SIGTERM)
    _, said = running.communicate(timeout=BOUND_S)
    assert running.returncode == 143 and said.count(b"\n") == 1, said
    until(lambda: not list(left_behind(cache, folders)), BOUND_S)
    beside = {path.name.removeprefix("out.jsonl") for path in tmp_path.glob("out.jsonl*")}
    assert beside == {".part", ".journal", ".calls"}
    assert not list(tmp_path.glob("out.jsonl.calls/*part*"))
    go.set()
    done = subprocess.run([*command, "--log-format", "json"], env=env, capture_output=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["skipped"] == 1
    made = [json.loads(line) for line in out.read_bytes().splitlines()]
    ends = {record["id"]: record["exit"]["kind"] for record in made if "exit" in record}
    assert list(ends.values()) == ["submitted"] * (rollouts + 1) and len(made) == 2 * (rollouts + 1)


def _part(out: Path) -> bytes:
    part = out.with_name("out.jsonl.part")
    return b"".join(line for line in part.read_bytes().splitlines() if b'"exit"' in line) if part.exists() else b""
