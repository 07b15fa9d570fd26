"""Taking all of what the kernel counts for a whole user: other boxes, and the runner, would have nothing left."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from katcore.sandbox import PYTHON, box
from tests.support.sandbox_cases import Make, said

pytestmark = pytest.mark.slow

TAKE = """
import ctypes, sys, time
libc, taken = ctypes.CDLL(None), 0
while taken < 100_000 and libc.inotify_init1(0) >= 0:
    taken += 1
print(taken, flush=True)
time.sleep(float(sys.argv[1]))
"""


@pytest.fixture
def kind() -> str:
    """Containers are counted for the user that all of them share."""
    return "bubblewrap"


def left_beside(make: Make, repo: Path) -> int:
    """How many inotify instances a box can have while another one takes what it can get."""
    greedy, other = make(repo=repo), make(repo=repo)
    thread = threading.Thread(target=greedy.exec, args=([PYTHON, "-c", TAKE, "6"],))
    thread.start()
    time.sleep(3)
    left = int(said(other.exec([PYTHON, "-c", TAKE, "0"])))
    thread.join()
    return left


def test_shared_limits(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert left_beside(make, tmp_path) == 32
    monkeypatch.setattr(box, "SHARED", "")
    if int(Path("/proc/sys/fs/inotify/max_user_instances").read_text()) < 1000:  # else no process holds that many files
        assert left_beside(make, tmp_path) == 0, "without the guard nothing is left"
