"""kat-rollout as a process: streams, ids, resume after kill -9, independence of -j."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from katcore.records import Trajectory, encode
from katcore.rollout.attempts import attempts
from katcore.streams import read_records
from tests.support.options import setup
from tests.support.rollout_tasks import task

pytestmark = pytest.mark.slow


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    path = tmp_path / "tasks.jsonl"
    lines = [encode(task(f"calc-{n}")) for n in range(3)]
    # a field of tomorrow must pass through
    path.write_bytes(b"".join(line[:-1] + b',"tomorrow":[1]}\n' for line in lines))
    return path


def rollout(*args: Any, check: bool = True, **more: Any) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(["kat-rollout", *map(str, args)], capture_output=True, timeout=120, **more)
    assert not check or done.returncode == 0, done.stderr.decode()
    return done


def timeless(data: bytes) -> list[Any]:
    """Records without what the clock wrote."""
    records = [json.loads(line) for line in data.splitlines()]
    for record in records:
        record.pop("timing", None)
        for call in record.get("calls", []):
            for name in ("started_at", "seconds", "first_token_s"):
                call.pop(name)
    return records


def test_each_task_passes_once_ahead_of_its_trajectories(tasks: Path) -> None:
    done = rollout("--scaffold", "nop", "--samples", 2, stdin=tasks.open("rb"))
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [r["schema"] for r in records] == ["kat.task/1", "kat.trajectory/1", "kat.trajectory/1"] * 3
    assert done.stdout.splitlines()[0] == tasks.read_bytes().splitlines()[0], "unknown fields and all"
    assert [r["task_id"] for r in records if "task_id" in r] == [f"calc-{n}" for n in (0, 0, 1, 1, 2, 2)]
    assert {r["group_size"] for r in records if "task_id" in r} == {2}


def test_output_does_not_depend_on_jobs(tasks: Path) -> None:
    one, four, any_order = (
        timeless(rollout(tasks, "--scaffold", "oracle", "-j", *way).stdout) for way in ([1], [4, "--ordered"], [4])
    )
    assert one == four and sorted(one, key=str) == sorted(any_order, key=str)


ELSEWHERE = {
    "sglang": ("--engine", "sglang:http://127.0.0.1:1"), "oracle": ("--scaffold", "oracle"), "nop": ("--engine", "nop"),
    "openai": ("--engine", "openai:http://127.0.0.1:1", "--upstream-model", "m"),
    "anthropic": ("--engine", "anthropic:http://127.0.0.1:1", "--upstream-model", "m"),
    "scripted": ("--engine", "scripted:script.json"),
}  # fmt: skip


@pytest.mark.parametrize("engine", ELSEWHERE.values(), ids=ELSEWHERE.keys())
@pytest.mark.parametrize("asked", [("--engine-device", "cpu"), ("--engine-dtype", "float32")], ids=["device", "dtype"])
def test_a_placement_that_nobody_would_heed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: tuple[str, ...], asked: tuple[str, ...]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
    commands = [("gateway", "--dry-run")] if "--engine" in engine else []
    for command in [("--dry-run",), *commands]:
        done = rollout(*command, *engine, *asked, check=False, stdin=subprocess.DEVNULL)
        assert (done.returncode, done.stdout) == (2, b"") and b"are for embedded:DIR alone" in done.stderr, command


def test_keys_are_the_ids_of_what_is_written(tasks: Path) -> None:
    options = setup(scaffold="nop", samples=2)
    keys = [item.key for item in attempts(read_records([tasks]), options)]
    records = [json.loads(line) for line in rollout(tasks, "--scaffold", "nop", "--samples", 2).stdout.splitlines()]
    assert keys == [f"{r['schema']}:{r.get('id') or r['instance_id']}" for r in records]


def test_ids_tell_scaffold_model_sample_and_attempt_apart(tasks: Path) -> None:
    ways = [
        setup(scaffold="nop"),
        setup(scaffold="oracle"),
        setup(scaffold="nop", samples=2),
        setup(scaffold="nop", attempt=1),
        setup(engine="scripted:x"),
        setup(engine="sglang:http://h", label="m"),
    ]
    ids = [{item.key for item in attempts(read_records([tasks]), way)} for way in ways]
    assert ids[0] < ids[2], "more samples are the same ones and others"
    assert len(set.union(*ids)) == 3 + 3 * 6


def test_kill_9_and_resume_loses_and_doubles_nothing(tasks: Path, tmp_path: Path) -> None:
    script = tmp_path / "slow.jsonl"
    call = {"function": {"name": "bash", "arguments": {"command": "sleep 0.3; echo x > f"}}}
    script.write_text(json.dumps({"messages": [{"role": "assistant", "tool_calls": [call]}]}) + "\n")
    out = tmp_path / "out.jsonl"
    args = ["kat-rollout", str(tasks), "--engine", f"scripted:{script}", "--samples", "2", "-o", str(out), "--resume"]
    first = subprocess.Popen(args, stderr=subprocess.DEVNULL)
    part = out.with_name("out.jsonl.part")
    while first.poll() is None and not (part.exists() and part.read_bytes().count(b"+x") >= 2):
        time.sleep(0.05)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert not out.exists()
    done = rollout(*args[1:], "--log-format", "json")
    ids = [json.loads(line).get("id", "task") for line in out.read_bytes().splitlines()]
    assert len(ids) == 9 and len(set(ids)) == 7
    assert json.loads(done.stderr.splitlines()[-1])["skipped"] >= 1
    made = [line.record for line in read_records([out]) if isinstance(line.record, Trajectory)]
    assert len(made) == 6 and all("+x" in (trajectory.patch or "") for trajectory in made)


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--scaffold", "emacs"], "emacs"),
        (["--engine", "telepathy:x"], "telepathy"),
        (["--sandbox", "bucket", "--scaffold", "nop"], "bucket"),
        ([], "no engine"),
    ],
)
def test_names_that_are_none_are_refused_in_one_line(tasks: Path, args: list[str], word: str) -> None:
    done = rollout(tasks, *args, check=False)
    assert done.returncode == 2 and word in done.stderr.decode() and b"Traceback" not in done.stderr
    assert done.stdout == b""


@pytest.mark.parametrize("message", ['{"role": "user"}', '{"content": 5}', '{"tool_calls": [{"name": "bash"}]}'])
def test_a_script_that_is_bad_is_exit_4(tasks: Path, tmp_path: Path, message: str) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"messages": [' + message + "]}\n")
    done = rollout(tasks, "--engine", f"scripted:{bad}", check=False)
    assert done.returncode == 4 and b"bad.jsonl:1" in done.stderr


def test_a_task_for_another_platform_is_a_dead_letter(tmp_path: Path) -> None:
    other = task("elsewhere")
    other.environment.platform = "plan9-mips"
    path, dead = tmp_path / "t.jsonl", tmp_path / "dead.jsonl"
    path.write_bytes(encode(other) + b"\n" + encode(task("here")) + b"\n")
    done = rollout(path, "--scaffold", "nop", "--dead-letter", dead, check=False)
    assert done.returncode == 3 and json.loads(dead.read_bytes())["stage"] == "environment"
    assert [json.loads(line).get("task_id") for line in done.stdout.splitlines()] == [None, None, "here"]


def test_no_journal_is_left_behind(tasks: Path, tmp_path: Path) -> None:
    rollout(tasks, "--scaffold", "nop", env={**os.environ, "KAT_CACHE": str(tmp_path / "cache")})
    assert list((tmp_path / "cache" / "journal").iterdir()) == []


def test_records_carry_no_path_of_this_machine(tasks: Path, cache: str, tmp_path: Path) -> None:
    data = rollout(tasks, "--scaffold", "oracle").stdout
    for line in data.splitlines():
        if b'"kat.trajectory/1"' in line[:40]:
            assert cache.encode() not in line and str(tmp_path).encode() not in line and b"/tmp/kat-" not in line


def test_the_same_trajectory_is_read_back(tasks: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    rollout(tasks, "--scaffold", "oracle", "-o", out)
    found = [line.record for line in read_records([out]) if isinstance(line.record, Trajectory)]
    assert len(found) == 3 and all(t.nodes and t.patch for t in found)


def test_lists_of_names() -> None:
    assert b"bash-loop" in rollout("scaffolds").stdout and b"bubblewrap" in rollout("sandboxes").stdout
