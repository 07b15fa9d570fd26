"""Empty files without end: they have no size, and a disk has only so many."""

from __future__ import annotations

import pytest

from katcore.sandbox import PYTHON, Limits, overlay
from tests.support.sandbox_cases import Make

pytestmark = pytest.mark.slow

FLOOD = "import time\nfor n in range(2500): open(f'/tmp/{n}', 'w').close()\ntime.sleep(5)"


@pytest.mark.parametrize("kind", ["bubblewrap"])
def test_many_files(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    done = make(limits=Limits(disk_mib=8)).exec([PYTHON, "-c", FLOOD], timeout_s=60)
    assert (done.code, done.limit) == (153, "disk")
    monkeypatch.setattr(overlay, "LEAST", 0)
    done = make(limits=Limits(disk_mib=8)).exec([PYTHON, "-c", FLOOD], timeout_s=60)
    assert (done.code, done.limit) == (0, ""), "they cost nothing where they are not counted"
