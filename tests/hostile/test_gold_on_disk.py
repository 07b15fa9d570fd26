"""Reading the known solution from a file of this machine or from another process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.sandbox_cases import Make

GOLD = "gold-patch-5d1c77"

pytestmark = pytest.mark.slow


def test_gold_on_disk(make: Make, cache: Path, tmp_path: Path) -> None:
    (cache / "src").mkdir(exist_ok=True)
    places = [tmp_path / "tasks.jsonl", cache / "src" / "gold"]
    for path in places:
        path.write_text(GOLD)
    look = ["grep", "-rls", GOLD, *(str(path.parent) for path in places)]
    assert subprocess.run(look, capture_output=True, text=True).stdout.count("\n") == 2, "the attack works outside"
    try:
        box = make()
        assert box.exec(look).stdout == b""
        where = "/testbed /tmp /opt/env /opt/scaffold /run /var /etc /dev/shm /home /root /srv /mnt"
        assert box.exec(f"grep -rls {GOLD} {where}").stdout == b""
    finally:
        for path in places:
            path.unlink()


def test_gold_in_another_process(make: Make) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()", GOLD], stdin=subprocess.PIPE, env={"GOLD": GOLD})
    look = f"cat /proc/{other.pid}/cmdline /proc/{other.pid}/environ; cat /proc/*/cmdline /proc/*/environ 2>/dev/null"
    try:
        outside = subprocess.run(["bash", "-c", look], capture_output=True, env={"PATH": os.environ["PATH"]})
        assert outside.stdout.count(GOLD.encode()) >= 2, "the attack works outside"
        # its own command line says what it looks for no more than this
        assert GOLD.encode() not in make().exec(look).stdout
    finally:
        other.communicate(b"\n")


def test_gold_in_another_box(make: Make) -> None:
    first, second = make(), make()
    first.put("/tmp/gold", GOLD.encode())
    assert first.exec(["cat", "/tmp/gold"]).stdout == GOLD.encode()
    assert second.exec(["cat", "/tmp/gold"]).code != 0
