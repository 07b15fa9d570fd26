"""Processes without end."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcore.sandbox import PYTHON, Limits
from tests.support.sandbox_cases import Make, said

BOMB = """
import os, time
count = 0
try:
    while count < 300:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        count += 1
except BlockingIOError:
    pass
print(count)
"""

pytestmark = pytest.mark.slow


def processes() -> int:
    """How many this machine has."""
    return len(list(Path("/proc").glob("[0-9]*")))


def test_fork_bomb(make: Make) -> None:
    assert 10 < int(said(make(limits=Limits(pids=50)).exec([PYTHON, "-c", BOMB]))) < 60
    assert said(make(limits=Limits(pids=400)).exec([PYTHON, "-c", BOMB])) == "300", "it works where the limit is wide"


def test_fork_bomb_that_fills_the_limit_is_ended(make: Make) -> None:
    box = make(limits=Limits(pids=40))
    before = processes()
    assert box.exec("bomb() { bomb | bomb & }; bomb; sleep 30", timeout_s=1).timed_out
    assert said(box.exec("echo still here")) == "still here"
    assert processes() < before + 40
