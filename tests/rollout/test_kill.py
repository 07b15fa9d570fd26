"""`kill -9` at random moments of a run that is resumed each time: nothing answered or finished is lost, nothing stays.

The witness of an answered call is not ours: each answer makes the agent write a file, and with the runner stopped
(SIGSTOP) the boxes' folders are looked through before the kill. `make test-kill` runs 200 rollouts and ten kills and
writes the table; without KAT_KILL_* it is a sample of the same.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from benchmarks.left_behind import left_behind, locked
from katcore.gateway import journal
from katcore.records import encode
from katcore.streams.grow import load_journal
from tests.support.rollout_tasks import task

pytestmark = pytest.mark.slow

ROLLOUTS = int(os.environ.get("KAT_KILL_ROLLOUTS", "24"))
KILLS = int(os.environ.get("KAT_KILL_KILLS", "3"))
TABLE = os.environ.get("KAT_KILL_TABLE", "")
SEED = int(os.environ.get("KAT_KILL_SEED", "0"))
LATEST_S = float(os.environ.get("KAT_KILL_LATEST_S", "4"))
SAMPLES = 4
STEPS = 4
GONE_S = 20.0


@dataclass
class Killed:
    """What one kill found, and what of it was there afterwards."""

    after_s: float
    witnessed: dict[str, int]
    """Attempt -> answered calls that its box shows."""
    journalled: dict[str, int] = field(default_factory=dict)
    finished: dict[str, bytes] = field(default_factory=dict)
    gone_s: float = 0.0


@dataclass
class Run:
    """The command under test and its folders."""

    args: list[str]
    out: Path
    cache: Path

    def start(self) -> subprocess.Popen[bytes]:
        env = {**os.environ, "KAT_CACHE": str(self.cache)}
        return subprocess.Popen(self.args, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=env)

    @property
    def calls(self) -> Path:
        return self.out.with_name(self.out.name + ".calls")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    tasks, script, out = tmp_path / "tasks.jsonl", tmp_path / "script.jsonl", tmp_path / "out.jsonl"
    tasks.write_bytes(b"".join(encode(task(f"calc-{n}")) + b"\n" for n in range(ROLLOUTS // SAMPLES)))
    steps = [_call(f"sleep 0.0{step + 1}; echo {step} > step-{step}") for step in range(STEPS)]
    script.write_text(json.dumps({"messages": steps}) + "\n")
    args = ["kat-rollout", str(tasks), "--engine", f"scripted:{script}", "--samples", str(SAMPLES)]
    args += ["-o", str(out), "--resume", "-j", "8", "--log-format", "json"]
    return Run(args, out, tmp_path / "cache")


def _call(command: str) -> dict[str, Any]:
    call = {"function": {"name": "bash", "arguments": json.dumps({"command": command})}}
    return {"role": "assistant", "tool_calls": [call]}


def test_kill_9_at_any_moment_loses_and_leaves_nothing(run: Run) -> None:
    chance = random.Random(SEED)
    shares = [ROLLOUTS * (number + 1) // (KILLS + 1) for number in range(KILLS)]
    killed = [kill(run, chance.uniform(0.5, LATEST_S), share) for share in shares]
    last = run.start()
    _, said = last.communicate(timeout=600)
    assert last.returncode == 0, said.decode()
    lines = run.out.read_bytes().splitlines()
    written = {json.loads(line)["id"]: line for line in lines if b'"kat.trajectory/1"' in line[:40]}
    assert len(lines) == ROLLOUTS + ROLLOUTS // SAMPLES and len(written) == ROLLOUTS, "none lost, none doubled"
    assert all(json.loads(line)["exit"]["kind"] == "submitted" for line in written.values())
    for each in killed:
        for name, line in each.finished.items():
            assert written[name] == line, "what had ended is what is written, to the byte: it was not made anew"
    kept = recovered(run)
    for each in killed:
        for name, calls in each.journalled.items():
            assert max(kept.get(name, [0])) >= calls, "what the journal held is recovered as a trajectory"
    assert not list(run.calls.glob("*.done"))
    if any(each.journalled for each in killed):
        assert any(b"made anew" in line for line in said.splitlines()) or kept
    report(run, killed, kept)


def kill(run: Run, after_s: float, share: int) -> Killed:
    """Let it run for so long or until so many rollouts have ended, stop it, look, kill it, and look again."""
    process, began = run.start(), time.monotonic()
    while time.monotonic() - began < after_s and progress(run) < share:
        time.sleep(0.02)
    assert process.poll() is None, f"the run was over after {after_s} s: {process.stderr and process.stderr.read()!r}"
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    mine = locked(process.pid)
    found = Killed(after_s, witnesses(run.cache))
    process.kill()
    began = time.monotonic()
    process.communicate()
    while left := list(left_behind(run.cache, mine)):
        assert time.monotonic() - began < GONE_S, left
        time.sleep(0.05)
    found.gone_s = time.monotonic() - began
    found.finished = finished(run)
    for path in run.calls.glob("*.jsonl"):
        if ".cut-" not in path.name and path.stem not in found.finished:  # else the kill came before it was removed
            calls = [call for call in journal.read_journal(path).calls if call.error is None]
            found.journalled[path.stem] = len(calls)
    for name, calls in found.witnessed.items():
        whole = next((each for each in (*found.finished, *found.journalled) if each.startswith(name)), None)
        assert whole, f"{name}: {calls} calls were answered, and nothing is left of them"
        assert whole in found.finished or found.journalled[whole] >= calls, "an answered call was lost"
    return found


def witnesses(cache: Path) -> dict[str, int]:
    """Attempts by the beginning of their ids, and how many answers the agent has acted on."""
    found: dict[str, int] = {}
    for box in cache.glob("box/*/rollout-*"):
        steps = len(list(box.glob("upper/step-*")))
        if steps:
            found[box.name.removeprefix("rollout-").rpartition("-")[0]] = steps
    return found


def progress(run: Run) -> int:
    """About how many rollouts have ended, while it runs."""
    index = run.out.with_name("out.jsonl.journal")
    return (index.read_bytes().count(b"\n") if index.exists() else 0) + len(list(run.calls.glob("*.done")))


def finished(run: Run) -> dict[str, bytes]:
    """Trajectories that had ended: written and journalled by the output, or waiting for their turn."""
    part, index = run.out.with_name("out.jsonl.part"), run.out.with_name("out.jsonl.journal")
    entries, _ = load_journal(index, part)
    lines = part.read_bytes()[: entries[-1].offset].splitlines() if entries else []
    lines += [line for path in run.calls.glob("*.done") for line in path.read_bytes().splitlines()]
    return {json.loads(line)["id"]: line for line in lines if b'"kat.trajectory/1"' in line[:40]}


def recovered(run: Run) -> dict[str, list[int]]:
    """Attempt -> answered calls of each of its cut-off rollouts, as the command recovers them."""
    if not run.calls.exists():
        return {}
    args = ["kat-rollout", "gateway", "--recover", "--journals", str(run.calls)]
    done = subprocess.run(args, capture_output=True, check=True)
    found: dict[str, list[int]] = {}
    for record in map(json.loads, done.stdout.splitlines()):
        answered = [call for call in record["calls"] if not call.get("error")]
        tokens = {node["id"]: node for node in record["nodes"]}
        assert all(tokens[call["node"]]["token_ids"] for call in answered)
        found.setdefault(record["task_id"], []).append(len(answered))
    return found


def report(run: Run, killed: list[Killed], kept: dict[str, list[int]]) -> None:
    rows = [
        f"{ROLLOUTS} rollouts of {STEPS + 1} calls, {KILLS} kills, seed {SEED}; all {ROLLOUTS} written once.\n",
        "| killed after (s) | calls seen answered | rollouts cut off | their calls journalled | finished before | "
        "finished ones lost, doubled or remade | all gone after (s) |",
        "|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for each in killed:
        seen = sum(each.witnessed.values())
        calls = sum(each.journalled.values())
        rows.append(
            f"| {each.after_s:.2f} | {seen} | {len(each.journalled)} | {calls} | {len(each.finished)} | 0 | "
            f"{each.gone_s:.2f} |"
        )
    answered = sum(sum(each) for each in kept.values())
    rows.append(
        f"\nRecovered in the end: {answered} answered calls of {sum(map(len, kept.values()))} cut-off rollouts."
    )
    text = "\n".join(rows) + "\n"
    print(text)
    if TABLE:
        Path(TABLE).write_text(text)
