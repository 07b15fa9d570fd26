"""What goes wrong around a command: it is killed, the disk is full, its input is cut, its reader leaves.

Each of the seven commands as a real process. That kat-train goes on after `kill -9` with the same losses is tested in
`tests/train/test_run.py`; kat-train alone writes a folder and streams nothing.
"""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from katcore.model.folder import load
from katcore.records import Record, Trajectory, encode
from tests.support.stage_inputs import GOLD, attempts, change, history, pack, real_changes, task, write

pytestmark = pytest.mark.usefixtures("cache")

OF_THE_CLOCK = {"timing", "seconds", "started_at", "first_token_s", "duration", "log_tail"}
slow = pytest.mark.slow


@dataclass(frozen=True)
class Case:
    """A command line (MODEL is replaced) and the records that it takes; `repeat` of them where it streams."""

    line: str
    kind: str
    streams: bool = True

    @property
    def prog(self) -> str:
        return self.line.partition(" ")[0]

    def command(self, request: pytest.FixtureRequest) -> list[str]:
        model = str(request.getfixturevalue("model")) if "MODEL" in self.line else ""
        return shlex.split(self.line.replace("MODEL", model))

    def records(self, n: int) -> list[Record]:
        if self.kind == "change":
            return [change(f"change-{i}") for i in range(n)]
        if self.kind == "task":
            return [task(f"task-{i}") for i in range(n)]
        if self.kind == "pack":
            return [pack(f"pack-{i}", load(None).digest) for i in range(n)]
        return attempts(n, reward=1.0)


LIGHT = [
    Case("kat-build-env", "task"),
    Case("kat-verify", "trajectory"),
    Case("kat-pack-trie --for sft --groups-per-step 1", "trajectory"),
    Case("kat-verify report", "trajectory", streams=False),
    Case("kat-pack-trie stats", "trajectory", streams=False),
    Case("kat-distill choose", "trajectory", streams=False),
]
HEAVY = [Case("kat-rollout --scaffold nop", "task"), Case("kat-distill score --expert e=MODEL", "pack")]
WRITERS = [pytest.param(case, id=case.line) for case in LIGHT] + [
    pytest.param(case, id=case.line, marks=slow) for case in HEAVY
]
READERS = [*WRITERS, pytest.param(Case("kat-train --model MODEL --out M2", "pack"), id="kat-train", marks=slow)]


def run(command: Sequence[str | Path], cwd: Path, **kwargs: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, stderr=subprocess.PIPE, text=True, timeout=100, **kwargs)


def timeless(value: Any) -> Any:
    """Without what the clock wrote."""
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key not in OF_THE_CLOCK}
    return [timeless(item) for item in value] if isinstance(value, list) else value


def lines_of(path: Path) -> list[Any]:
    return [timeless(json.loads(line)) for line in path.read_bytes().splitlines()]


def without_file(path: Path) -> list[Any]:
    return [{key: value for key, value in row.items() if key != "file"} for row in lines_of(path)]


# ------------------------------------------------------------------------------------------- kill -9 and --resume


def progress(out: Path) -> int:
    """Bytes of the journal: they grow when finished items are safe on the disk."""
    journal = out.with_name(out.name + ".journal")
    return journal.stat().st_size if journal.exists() else 0


def feed(process: subprocess.Popen[bytes], lines: Iterator[bytes], out: Path, more_than: int) -> None:
    """Hand input over bit by bit until some of it is finished; the rest never comes, so the end is never reached."""
    assert process.stdin is not None
    while progress(out) <= more_than:
        assert process.poll() is None, "the command ended by itself"
        if line := next(lines, b""):
            process.stdin.write(line)
            process.stdin.flush()
        time.sleep(0.02)


def killed(command: Sequence[str | Path], lines: list[bytes], out: Path) -> None:
    """Run with two thirds of the input, and kill -9 it when something new is finished and more is being done."""
    before = progress(out)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        feed(process, iter(lines[: 2 * len(lines) // 3]), out, before)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert process.stdin is not None
        process.stdin.close()
    assert not out.exists()


def killed_and_resumed(command: list[str], records: Sequence[Record], folder: Path, times: int = 2) -> None:
    """Killed and resumed, the output and the rejects are those of a run that nobody disturbed."""
    lines = [encode(record) + b"\n" for record in records]
    source = folder / "in.jsonl"
    source.write_bytes(b"".join(lines))
    whole, out = folder / "whole.jsonl", folder / "out.jsonl"
    sides = [folder / "whole-rejects", folder / "out-rejects"]
    assert run([*command, source, "-o", whole, "--rejects", sides[0]], folder).returncode == 0
    again = [*command, "-o", out, "--rejects", sides[1], "--resume"]
    for _ in range(times):
        killed(again, lines, out)
    done = run([*again, source, "--log-format", "json"], folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stderr.splitlines()[-1])["skipped"] >= 1
    assert lines_of(out) == lines_of(whole) and lines_of(out)
    assert without_file(sides[1]) == without_file(sides[0])  # what was killed read from a pipe
    calls = folder / "out.jsonl.calls"  # stays with the answered calls of rollouts that a kill cut off, and only these
    assert sorted({p.name for p in folder.glob("out.jsonl*")} - {calls.name}) == ["out.jsonl"]
    assert not calls.exists() or (all(".cut-" in p.name for p in calls.iterdir()) and any(calls.iterdir()))


@slow
def test_kat_build_env_killed_and_resumed(tmp_path: Path) -> None:
    killed_and_resumed(["kat-build-env", "--runs", "1"], real_changes(tmp_path / "calc", 3), tmp_path)


@slow
def test_kat_rollout_killed_and_resumed(tmp_path: Path) -> None:
    command = ["kat-rollout", "--scaffold", "oracle", "--samples", "2"]
    killed_and_resumed(command, [task(f"task-{n}") for n in range(4)], tmp_path)


@slow
def test_kat_verify_killed_and_resumed(tmp_path: Path) -> None:
    killed_and_resumed(["kat-verify", "--no-reuse"], attempts(4, patch=GOLD), tmp_path)


@pytest.mark.slow
def test_kat_pack_trie_killed_and_resumed(tmp_path: Path) -> None:
    graded = attempts(300, reward=1.0)
    for record in graded[::7]:
        if isinstance(record, Trajectory) and record.verdict:
            record.verdict.reward = 0.0  # turned away: the rejects must come out right, too
    killed_and_resumed(["kat-pack-trie", "--for", "sft", "--groups-per-step", "2"], graded, tmp_path)


@slow
def test_kat_distill_killed_and_resumed(tmp_path: Path, model: Path) -> None:
    packs = [pack(f"pack-{n}", load(None).digest) for n in range(60)]
    killed_and_resumed(["kat-distill", "score", "--expert", f"e={model}"], packs, tmp_path, times=1)


@slow
def test_kat_mine_killed_and_resumed(tmp_path: Path) -> None:
    repo = history(tmp_path / "repo", commits=900, lines=2000)
    whole, out = tmp_path / "whole.jsonl", tmp_path / "out.jsonl"
    assert run(["kat-mine", "changes", repo, "-o", whole], tmp_path).returncode == 0
    command = ["kat-mine", "changes", repo, "-o", out, "--resume"]
    kills = 0
    for _ in range(2):
        before = progress(out)
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        while process.poll() is None and progress(out) <= before:
            time.sleep(0.001)
        process.kill()
        kills += process.wait() == -signal.SIGKILL
    assert kills == 2 and not out.exists()
    done = run([*command, "--log-format", "json"], tmp_path)
    assert done.returncode == 0 and 0 < json.loads(done.stderr.splitlines()[-1])["skipped"] < 900
    assert out.read_bytes() == whole.read_bytes()


# ----------------------------------------------------------------------------------------------------- a full disk


def one_line(stderr: str, prog: str) -> str:
    """Nothing but why the command ended, and perhaps a hint."""
    first, *hints = stderr.splitlines()
    assert first.startswith(f"{prog}: ") and "internal error" not in first, stderr
    assert all(line.startswith("  hint: ") for line in hints) and len(hints) <= 1, stderr
    return first


@pytest.mark.parametrize("case", WRITERS)
def test_a_full_disk_under_the_output_is_one_line_and_1(
    case: Case, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source = write(tmp_path / "in.jsonl", case.records(2))
    with Path("/dev/full").open("w") as full:
        done = run([*case.command(request), source], tmp_path, stdout=full)
    assert done.returncode == 1
    assert "No space left on device" in one_line(done.stderr, case.prog)


def test_a_full_disk_under_a_history(tmp_path: Path) -> None:
    repo = history(tmp_path / "repo", commits=2, lines=1)
    with Path("/dev/full").open("w") as full:
        done = run(["kat-mine", "changes", repo], tmp_path, stdout=full)
    assert done.returncode == 1
    assert "No space left on device" in one_line(done.stderr, "kat-mine")


def test_a_full_disk_under_rejects_is_one_line_and_1(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [change("c")])
    done = run(["kat-build-env", source, "--rejects", "/dev/full", "-o", "out.jsonl"], tmp_path)
    assert done.returncode == 1 and not (tmp_path / "out.jsonl").exists()
    assert "/dev/full" in one_line(done.stderr, "kat-build-env")


@slow
@pytest.mark.parametrize("blocks", [300, 700])  # ends in the weights, in the optimiser's state
def test_a_full_disk_under_a_model_is_one_line_and_1(tmp_path: Path, model: Path, blocks: int) -> None:
    graded = attempts(2, reward=1.0)
    for record in graded:
        if isinstance(record, Trajectory):
            record.tokenizer = load(None).digest
    source = write(tmp_path / "in.jsonl", graded)
    packed = run(["kat-pack-trie", "--for", "sft", source, "-o", "packs.jsonl"], tmp_path)
    assert packed.returncode == 0, packed.stderr
    train = f"ulimit -f {blocks}; kat-train --objective sft --model {model} --out M2 packs.jsonl"
    done = run(["bash", "-c", train], tmp_path)
    assert done.returncode == 1
    one_line(done.stderr, "kat-train")
    assert not list(tmp_path.glob("M2/*.safetensors"))


# ------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("case", READERS)
def test_a_truncated_zst_is_4_and_one_line(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source = write(tmp_path / "in.jsonl.zst", case.records(2))
    source.write_bytes(source.read_bytes()[:-20])
    done = run([*case.command(request), source], tmp_path, stdout=subprocess.DEVNULL)
    assert done.returncode == 4
    (said,) = done.stderr.splitlines()
    assert said.startswith(f"{case.prog}: {source}: ") and "truncated" in said


@pytest.mark.parametrize("case", READERS)
def test_a_record_of_another_kind_is_4_and_one_line(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    wrong = pack("p", "") if case.prog == "kat-build-env" else change("c")
    source = write(tmp_path / "in.jsonl", [wrong])
    done = run([*case.command(request), source], tmp_path, stdout=subprocess.DEVNULL)
    assert done.returncode == 4
    said = one_line(done.stderr, case.prog)
    assert f"{source}: line 1: " in said and wrong.__struct_config__.tag in said


# ------------------------------------------------------------------------------------------- a reader that leaves


def piped(line: str, cwd: Path) -> list[str]:
    """Lines of standard output of bash; nothing may come on standard error."""
    done = run(["bash", "-c", line], cwd, stdout=subprocess.PIPE)
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("case", WRITERS)
def test_a_reader_that_leaves_is_no_failure(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    # more than a pipe holds, so that the command does notice; what a box makes is slow enough to be noticed anyway
    write(tmp_path / "in.jsonl", case.records({"kat-rollout": 4}.get(case.prog, 300)))
    command = shlex.join([*case.command(request), "-q", "in.jsonl"])
    *first, codes = piped(f"{command} | head -n 1; echo ${{PIPESTATUS[@]}}", tmp_path)
    assert codes == "0 0" and len(first) == 1
    if case.streams:
        assert json.loads(first[0])["schema"].startswith("kat.")
    if case in LIGHT:
        assert piped(f"{command} | true; echo ${{PIPESTATUS[@]}}", tmp_path) == ["0 0"]


def test_a_reader_of_a_history_that_leaves_is_no_failure(tmp_path: Path) -> None:
    history(tmp_path / "repo", commits=300, lines=100)
    first, codes = piped("cd repo; kat-mine changes . 2> ../summary | head -n 1; echo ${PIPESTATUS[@]}", tmp_path)
    assert codes == "0 0" and json.loads(first)["schema"] == "kat.change/1"
