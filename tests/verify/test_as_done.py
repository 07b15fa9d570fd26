"""kat-verify and `validate` write each result when it is there: what takes longest ends when all others are written."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from katcore.records import Record, Scaffold, Task, TaskSource, Trajectory, Verification, encode
from tests.support.scripted_endpoint import endpoint, honest, text_of
from tests.support.waiting import until

ATTEMPTS = 12
SLOW = "An essay that takes long to judge."


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAT_CACHE", str(tmp_path / "cache"))


def task(name: str, kind: Any, source: TaskSource, **fields: Any) -> Task:
    return Task(
        instance_id=name, repo="j", base_commit="0" * 40, created_at="2025-01-01T00:00:00Z",
        problem_statement="Write an essay.", source=source, verification=Verification(kind=kind, **fields),
    )  # fmt: skip


def essay(number: int) -> Trajectory:
    return Trajectory(
        id=f"a{number}", task_id="j", group_id="j", scaffold=Scaffold(name="s"), model="m",
        artifacts={"answer": SLOW if number == 0 else f"Essay {number}."},
    )  # fmt: skip


def lines(path: Path, *records: Record) -> Path:
    path.write_bytes(b"".join(encode(record) + b"\n" for record in records))
    return path


def whole(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file that grows."""
    data = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]


@pytest.mark.parametrize("order", [[], ["--ordered"]])
def test_a_verdict_waits_for_none_that_takes_long(order: list[str], tmp_path: Path) -> None:
    go = Event()

    def judge(body: dict[str, Any]) -> Any:
        if SLOW in text_of(body):
            go.wait(100)
        return honest(lambda name, work: 4)(body)

    judged = task("j", "judge", TaskSource(kind="inline"), rubric={"dimensions": [{"name": "x", "question": "Good?"}]})
    given = lines(tmp_path / "in.jsonl", judged, *map(essay, range(ATTEMPTS)))
    made = tmp_path / "made"
    with endpoint(judge) as server, made.open("wb") as out:
        args = ["--judge", f"openai:{server.url}", "--judge-model", "m", "--votes", "1", "-j", "2", *order]
        running = subprocess.Popen(["kat-verify", str(given), *args], stdout=out, stderr=subprocess.PIPE)
        until(lambda: len(server.requests) >= (3 if order else ATTEMPTS))
        if not order:
            until(lambda: len(whole(made)) == ATTEMPTS)
        names = [row.get("id", "task") for row in whole(made)]
        assert running.poll() is None and ("a0" not in names) and names[0] == "task"
        go.set()
        _, said = running.communicate(timeout=100)
    assert running.returncode == 0, said
    names = [row["id"] for row in whole(made)[1:]]
    assert sorted(names) == sorted(f"a{n}" for n in range(ATTEMPTS))
    assert names == [f"a{n}" for n in range(ATTEMPTS)] if order else names[-1] == "a0"
    assert {row["verdict"]["reward"] for row in whole(made)[1:]} == {0.8}


@contextmanager
def slow_repository() -> Iterator[str]:
    """The URL of a repository whose server does not answer."""
    over = Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            over.wait(100)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/repository.git"
    finally:
        over.set()
        server.shutdown()
        server.server_close()


def test_what_validation_turns_away_is_told_while_another_task_takes_long(tmp_path: Path) -> None:
    rejects, out = tmp_path / "rejects", tmp_path / "out.jsonl"
    with slow_repository() as url:
        first = task("t0", "tests", TaskSource(kind="git", url=url, ref="a" * 40), FAIL_TO_PASS=["t"])
        first.patch = "--- a\n+++ b\n"
        others = [task(f"t{n}", "tests", TaskSource(kind="inline"), FAIL_TO_PASS=["t"]) for n in range(1, ATTEMPTS)]
        given = lines(tmp_path / "in.jsonl", first, *others)
        running = subprocess.Popen(["kat-verify", "validate", given, "-j", "2", "--rejects", rejects, "-o", out])
        found = until(lambda: len(rows := whole(rejects.with_name("rejects.part"))) == ATTEMPTS - 1 and rows)
        assert running.poll() is None and {row["stage"] for row in found} == {"gold"}
        running.kill()
        running.wait()
