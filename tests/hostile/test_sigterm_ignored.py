"""Processes that ignore every signal that can be ignored."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from secrets import token_hex

import pytest

from tests.support.sandbox_cases import Make, said

pytestmark = pytest.mark.slow


STUBBORN = "trap '' TERM INT HUP QUIT; : {token}; while :; do echo x >>{beat}; sleep 0.05; done"


def running(token: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if token in (process / "cmdline").read_text(errors="replace"):
                found.append(process.name)
        except OSError:
            continue
    return found


def test_sigterm_ignored(make: Make, tmp_path: Path) -> None:
    token = token_hex(8)
    outside = subprocess.Popen(["bash", "-c", STUBBORN.format(token=f"out-{token}", beat=tmp_path / "beat")])
    time.sleep(0.5)
    outside.terminate()
    time.sleep(0.2)
    assert outside.poll() is None, "it works outside"
    outside.kill()
    outside.wait()
    loop = STUBBORN.format(token=f"in-{token}", beat="beat")
    box = make()
    done = box.exec(f'setsid -f bash -c "{loop}"; (bash -c "{loop}" &); {loop}', timeout_s=1)
    assert (done.code, done.timed_out) == (124, True)
    assert running(f"in-{token}") == []
    beat = box.get("beat")
    assert said(box.exec("sleep 0.3; cat beat")).encode() == beat.strip() != b""
