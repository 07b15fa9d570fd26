"""Memory without end."""

from __future__ import annotations

import pytest

from katcore.sandbox import PYTHON, Limits
from tests.support.sandbox_cases import Make, said

HOG = "data = []\nfor _ in range(40): data.append(b'x' * (10 << 20))\nprint('all of it')"

pytestmark = pytest.mark.slow


def test_memory_hog(make: Make) -> None:
    box = make(limits=Limits(memory_mib=200))
    done = box.exec([PYTHON, "-c", HOG])
    assert done.code in (1, 137) and b"all of it" not in done.stdout
    assert said(box.exec("echo still here")) == "still here"
    assert said(make(limits=Limits(memory_mib=1000)).exec([PYTHON, "-c", HOG])) == "all of it", "it works otherwise"
