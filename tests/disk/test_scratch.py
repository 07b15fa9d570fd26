"""Scratch folders: one a process, gone when it is."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from katcore.disk import scratch

HOLD = """
import sys
from katcore.disk.scratch import new_folder
(new_folder() / "s.sock").touch()
print(new_folder().parent, flush=True)
sys.stdin.read()
"""


def hold() -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_an_orderly_end_leaves_nothing() -> None:
    process, folder = hold()
    assert folder.is_dir() and len(str(folder)) < 40
    process.communicate("")
    assert not folder.exists()


def test_a_killed_process_is_cleaned_up_after_and_a_living_one_is_not() -> None:
    living, kept = hold()
    dead, folder = hold()
    dead.send_signal(signal.SIGKILL)
    dead.communicate()
    assert folder.exists()
    scratch.sweep()
    assert not folder.exists() and kept.is_dir()
    living.communicate("")


def test_passing_folders_lie_in_it() -> None:
    with scratch.passing_folder() as one, scratch.passing_folder() as other:
        assert one != other and one.parent == other.parent == scratch.scratch()
    assert not one.exists()
