"""kat-rollout writes each trajectory when it is done: the one that takes longest ends when all others are there."""

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

from katcore.records import Task, encode
from katcore.streams.grow import load_journal
from tests.support.rollout_tasks import task
from tests.support.scripted_endpoint import Endpoint, endpoint
from tests.support.waiting import until

pytestmark = pytest.mark.slow
SLOW = "This takes its time."
TASKS, SAMPLES = 6, 2


class Model:
    """An endpoint that says one word, to the slow task when `go` is set; `answers` counts the others'."""

    def __init__(self) -> None:
        self.go, self.answers = Event(), 0

    def __call__(self, body: dict[str, Any]) -> str:
        if SLOW in json.dumps(body["messages"]):
            self.go.wait(100)
        else:
            self.answers += 1
        return "Done."


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def served(model: Model, monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("SOME_KEY", "-")
    with endpoint(model) as found:
        yield found
        model.go.set()


@pytest.fixture
def command(served: Endpoint, tmp_path: Path) -> list[str]:
    """Two samples of each task, of which two are held at a time; the first task is the slow one."""

    def made(number: int) -> Task:
        found = task(f"calc-{number}")
        found.problem_statement = SLOW if number == 0 else found.problem_statement
        return found

    path = tmp_path / "tasks.jsonl"
    path.write_bytes(b"".join(encode(made(number)) + b"\n" for number in range(TASKS)))
    named = ["--engine", f"openai:{served.url}", "--upstream-model", "m", "--key-variable", "SOME_KEY"]
    return ["kat-rollout", str(path), *named, "--samples", str(SAMPLES), "-j", "3", "--log-format", "json"]


def whole(path: Path) -> list[dict[str, Any]]:
    """The whole records of a file that grows."""
    data = path.read_bytes() if path.exists() else b""
    return [json.loads(line) for line in data.splitlines(keepends=True) if line.endswith(b"\n")]


def of(records: list[dict[str, Any]]) -> list[str]:
    """Each record's task."""
    return [record.get("task_id") or record["instance_id"] for record in records]


def test_nothing_waits_for_an_earlier_one(command: list[str], model: Model, tmp_path: Path) -> None:
    out = tmp_path / "made"
    with out.open("wb") as file:
        running = subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE)
        quick = TASKS + (TASKS - 1) * SAMPLES
        records = until(lambda: len(found := whole(out)) == quick and found)
        assert [r["schema"] for r in records if "calc-0" in of([r])] == ["kat.task/1"] and running.poll() is None
        model.go.set()
        _, said = running.communicate(timeout=100)
    assert running.returncode == 0, said
    records, summary = whole(out), json.loads(said.splitlines()[-1])
    assert of(records[-SAMPLES:]) == ["calc-0"] * SAMPLES, "the slow ones come last"
    assert (summary["in"], summary["out"]) == (TASKS * SAMPLES, TASKS * SAMPLES)
    for name in set(of(records)):
        mine = [record for record in records if name in of([record])]
        assert mine[0]["schema"] == "kat.task/1" and len(mine) == 1 + SAMPLES, "a task is ahead of its trajectories"


def test_ordered_is_the_order_of_tasks_and_samples(command: list[str], model: Model, tmp_path: Path) -> None:
    out = tmp_path / "made"
    with out.open("wb") as file:
        running = subprocess.Popen([*command, "--ordered"], stdout=file, stderr=subprocess.PIPE)
        until(lambda: model.answers >= 2)  # as many as are held behind the slow ones
        assert of(whole(out)) == ["calc-0"]
        model.go.set()
        _, said = running.communicate(timeout=100)
    assert running.returncode == 0, said
    records = whole(out)
    assert of(records) == [f"calc-{n}" for n in range(TASKS) for _ in range(1 + SAMPLES)]
    assert [r["sample_index"] for r in records if "task_id" in r] == [*range(SAMPLES)] * TASKS


def test_kill_9_and_a_torn_line_lose_and_double_nothing(command: list[str], model: Model, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    part, journal = tmp_path / "out.jsonl.part", tmp_path / "out.jsonl.journal"
    command += ["-o", str(out), "--resume"]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    quick = TASKS + (TASKS - 1) * SAMPLES
    until(lambda: sum(len(entry.keys) for entry in load_journal(journal, part)[0]) == quick)
    running.kill()
    running.wait()
    before = {record["id"]: record for record in whole(part) if "task_id" in record}
    asked = model.answers
    for path in (part, journal):
        with path.open("ab") as torn:
            torn.write(b'{"schema":"kat.trajectory/1","id":"torn')
    model.go.set()
    done = subprocess.run(command, capture_output=True, timeout=100)
    summary = json.loads(done.stderr.splitlines()[-1])
    assert (done.returncode, summary["skipped"], summary["out"]) == (0, (TASKS - 1) * SAMPLES, SAMPLES), done.stderr
    assert "taken_back" not in summary, "what is written need not be"
    records = whole(out)
    made = {record["id"]: record for record in records if "task_id" in record}
    assert len(records) == TASKS * (1 + SAMPLES) and len(made) == TASKS * SAMPLES
    assert all(made[name] == record for name, record in before.items()) and model.answers == asked
    assert not list(tmp_path.glob("out.jsonl.calls/*.done"))


def test_a_reader_that_leaves_ends_rollouts_under_way(command: list[str], tmp_path: Path) -> None:
    line = f"{' '.join(command)} 2>said | head -n 2 >made; echo ${{PIPESTATUS[@]}}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.stdout == "0 0\n", (tmp_path / "said").read_text()
    assert len(whole(tmp_path / "made")) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_a_signal_cut_off_is_not_taken_for_an_end(
    number: signal.Signals, command: list[str], served: Endpoint, model: Model, tmp_path: Path
) -> None:
    """A call that the end of the command breaks off says nothing about the rollout."""
    out = tmp_path / "out.jsonl"
    command += ["-o", str(out), "--resume"]
    running = subprocess.Popen(
        command, stderr=subprocess.PIPE, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    until(lambda: sum(SLOW in json.dumps(body["messages"]) for body in served.requests) == SAMPLES)
    os.kill(running.pid, number)
    _, said = running.communicate(timeout=100)
    assert running.returncode == 128 + number, said
    model.go.set()
    done = subprocess.run(command, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr
    ends = [record["exit"]["kind"] for record in whole(out) if "exit" in record]
    assert ends == ["submitted"] * TASKS * SAMPLES
