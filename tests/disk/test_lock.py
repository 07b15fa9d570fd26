"""Locks exclude threads and processes, end with their holder, and survive the removal of their name."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from katcore.disk.cache import locked
from katcore.disk.lock import claim, seize, take

HOLD = """
import sys
from pathlib import Path
from katcore.disk.lock import take
take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(name: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_who_comes_second_is_told_or_waits_or_is_let_in(tmp_path: Path) -> None:
    name = tmp_path / "lock"
    process = holder(name)
    with pytest.raises(BlockingIOError):
        take(name, 0.0)
    begun = time.monotonic()
    with pytest.raises(BlockingIOError):
        take(name, 0.2)
    assert time.monotonic() - begun >= 0.2 and seize(name) is None
    process.send_signal(signal.SIGKILL)
    os.close(take(name, 5.0))
    process.communicate()
    os.close(take(name))


def test_a_name_that_its_holder_removes_lets_one_in_at_a_time(tmp_path: Path) -> None:
    name, inside, most = tmp_path / "lock", 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            descriptor = take(name)
            inside += 1
            most = max(most, inside)
            time.sleep(0.001)
            inside -= 1
            name.unlink()
            os.close(descriptor)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1 and not name.exists()


def test_what_nobody_holds_is_seized_and_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        seize(tmp_path / "lock")
    claimed = claim(tmp_path / "lock")
    assert claimed is not None and seize(tmp_path / "lock") is None
    os.close(claimed)
    seized = seize(tmp_path / "lock")
    assert seized is not None
    os.close(seized)
    folder = seize(tmp_path)
    assert folder is not None and seize(tmp_path) is None
    os.close(folder)


def test_a_claim_on_a_folder_that_a_sweeper_takes_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = tmp_path / "folder" / "lock"
    name.parent.mkdir()
    sweeper = take(name)
    claims: list[int | None] = []
    opened, flock = threading.Event(), fcntl.flock

    def told(descriptor: int, operation: int) -> None:
        opened.set()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", told)
    thread = threading.Thread(target=lambda: claims.append(claim(name)))
    thread.start()
    assert opened.wait(60)
    name.unlink()
    os.close(sweeper)
    thread.join()
    assert claims == [None] and not name.exists()


def test_a_lock_is_no_other_process_s_after_exec(tmp_path: Path) -> None:
    descriptor = take(tmp_path / "lock")
    child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    os.close(descriptor)
    os.close(take(tmp_path / "lock", 0.0))
    child.communicate()


def test_entries_of_the_cache_have_one_maker(tmp_path: Path) -> None:
    with locked(tmp_path / "kind" / "entry"), pytest.raises(BlockingIOError):
        take(tmp_path / "kind" / ".entry.lock", 0.0)
    with locked(tmp_path / "kind" / "entry"):
        pass
