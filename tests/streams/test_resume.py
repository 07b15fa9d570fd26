"""kill -9 at any moment and --resume: nothing lost, nothing doubled, the same bytes in the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from katcore.errors import UsageError
from katcore.records import Sample, encode
from katcore.streams import open_output, pace, read_records
from tests.support import ROOT, resumable

SCRIPT = ROOT / "tests/support/resumable.py"
SUFFIXES = ("jsonl", "jsonl.zst", "parquet")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture
def whole(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> dict[str, bytes]:
    """What an uninterrupted run leaves."""
    folder = tmp_path_factory.mktemp("whole")
    resumable.stage(folder / f"x.{request.node.callspec.params['suffix']}", False)
    return contents(folder)


def in_child(path: Path, die_after: int, resume: bool) -> bool:
    """Run the stage in a child that dies; True when it reached its end first."""
    pid = os.fork()
    if pid == 0:
        try:
            pace.PAUSE_S = pace.COSTLY_S = 0
            resumable.die_after(die_after)
            resumable.stage(path, resume)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    assert status in (0, signal.SIGKILL), status
    return status == 0


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES[:2])
@pytest.mark.parametrize("complete", [0, 16])
def test_killed_at_every_call_into_the_system(
    tmp_path: Path, suffix: str, complete: int, whole: dict[str, bytes]
) -> None:
    for calls in range(1, 1000):
        folder = tmp_path / str(calls)
        folder.mkdir()
        path = folder / f"x.{suffix}"
        if complete:
            resumable.stage(path, False, items=complete)
        done = in_child(path, calls, complete > 0)
        resumable.stage(path, True)
        assert contents(folder) == whole, f"killed at call {calls}"
        if done:
            break
    assert 20 < calls < 999


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
def test_killed_again_and_again(tmp_path: Path, suffix: str, whole: dict[str, bytes]) -> None:
    path, chance = tmp_path / f"x.{suffix}", random.Random(0)
    runs = iter(range(100))
    while not in_child(path, chance.randrange(8, 40), True):
        assert next(runs) < 99, "no run gets further than the one before"
    assert contents(tmp_path) == whole


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_process_killed_from_outside(tmp_path: Path, suffix: str, whole: dict[str, bytes]) -> None:
    chance = random.Random(1)
    for _ in range(4):
        run = subprocess.Popen(
            [sys.executable, SCRIPT, tmp_path / f"x.{suffix}", "--resume"], env=os.environ | {"SLEEP_S": "0.02"}
        )
        time.sleep(chance.uniform(0.1, 0.9))
        run.kill()
        run.wait()
    resumable.stage(tmp_path / f"x.{suffix}", True)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_complete_file_is_left_alone_when_nothing_is_new(
    tmp_path: Path, suffix: str, whole: dict[str, bytes]
) -> None:
    path = tmp_path / f"x.{suffix}"
    resumable.stage(path, False)
    before = {name: name.stat().st_ino for name in tmp_path.iterdir()}
    resumable.stage(path, True)
    assert {name: name.stat().st_ino for name in tmp_path.iterdir()} == before
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_complete_file_grows_when_there_is_more(tmp_path: Path, suffix: str, whole: dict[str, bytes]) -> None:
    path = tmp_path / f"x.{suffix}"
    resumable.stage(path, False, items=12)
    for calls in (3, 10, 17, 20) if suffix != "parquet" else ():
        assert not in_child(path, calls, True)
    resumable.stage(path, True)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("suffix", SUFFIXES[:1])
def test_a_part_of_rejects_that_nobody_finished_is_not_taken_over(
    tmp_path: Path, suffix: str, whole: dict[str, bytes]
) -> None:
    path = tmp_path / f"x.{suffix}"
    resumable.stage(path, False, items=12)
    (tmp_path / "rejects.jsonl.part").write_text("an older run's\n" * 99)
    resumable.stage(path, True)
    assert contents(tmp_path) == whole


@pytest.mark.parametrize("suffix", SUFFIXES[:2])
@pytest.mark.parametrize("lost", ["newline", "part"])
def test_a_journal_that_says_more_than_is_there_is_believed_no_further(
    tmp_path: Path, suffix: str, lost: str, whole: dict[str, bytes]
) -> None:
    path = tmp_path / f"x.{suffix}"
    assert not in_child(path, 60, False)
    journal, part = (tmp_path / f"{path.name}.{name}" for name in ("journal", "part"))
    if lost == "newline":
        journal.write_bytes(journal.read_bytes()[:-1])
    else:
        part.write_bytes(part.read_bytes()[: part.stat().st_size // 2])
    resumable.stage(path, True)
    assert contents(tmp_path) == whole


def test_the_journal_counts_items_bytes_and_records(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    for resume in (False, True):
        in_child(path, 40, resume)
    last = msgspec.json.decode((tmp_path / "x.jsonl.journal").read_bytes().splitlines()[-1])
    assert (tmp_path / "x.jsonl.part").read_bytes()[: last["offset"]].count(b"\n") == last["records"] > 10


def test_without_resume_a_run_starts_afresh(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    assert not in_child(path, 60, False)
    assert {"x.jsonl.part", "x.jsonl.journal"} <= set(contents(tmp_path))
    out = open_output(path, None, False)
    assert out.finished == set()
    out.write(encode(Sample(id="a")), "kat.sample/1")
    out.finish()
    assert [line.record.id for line in read_records([path])] == ["a"]
    assert not (tmp_path / "x.jsonl.journal").exists()


def test_abandoning_keeps_what_is_done_and_only_that(tmp_path: Path) -> None:
    out = open_output(tmp_path / "x.jsonl", None, False, rejects=tmp_path / "r.jsonl")
    out.write(encode(Sample(id="a")), "kat.sample/1")
    out.reject({"id": "b"})
    out.commit("kat.sample/1:a")
    out.write(encode(Sample(id="half")), "kat.sample/1")
    out.reject({"id": "half"})
    out.abandon()
    assert not (tmp_path / "x.jsonl").exists()
    out = open_output(tmp_path / "x.jsonl", None, True, rejects=tmp_path / "r.jsonl")
    assert out.finished == {"kat.sample/1:a"}
    out.finish()
    assert [line.record.id for line in read_records([tmp_path / "x.jsonl"])] == ["a"]
    assert (tmp_path / "r.jsonl").read_text() == '{"id":"b"}\n'


def test_abandoning_before_anything_is_done_leaves_nothing(tmp_path: Path) -> None:
    out = open_output(tmp_path / "x.jsonl", None, False, rejects=tmp_path / "r.jsonl")
    out.write(encode(Sample(id="half")), "kat.sample/1")
    out.reject({"id": "b"})
    out.abandon()
    assert list(tmp_path.iterdir()) == []


def test_costly_items_are_on_the_disk_as_soon_as_they_are_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "PAUSE_S", 3600)
    monkeypatch.setattr(pace, "COSTLY_S", 0.01)
    out = open_output(tmp_path / "x.jsonl", None, False)
    time.sleep(0.05)
    for name in "abc":  # three workers finish at the same time
        out.write(encode(Sample(id=name)), "kat.sample/1")
        out.commit(name)
    assert len((tmp_path / "x.jsonl.journal").read_bytes().splitlines()) == 3


def test_resuming_in_another_format_is_refused(tmp_path: Path) -> None:
    assert not in_child(tmp_path / "x", 60, False)
    with pytest.raises(UsageError, match="another format"):
        open_output(tmp_path / "x", "zst", True)
