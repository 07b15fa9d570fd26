"""File descriptors without end."""

from __future__ import annotations

import resource

import pytest

from katcore.sandbox import PYTHON
from tests.support.sandbox_cases import Make, said

MANY = """
import os
open_now = []
try:
    while len(open_now) < 10000:
        open_now.append(os.open('/dev/null', os.O_RDONLY))
except OSError:
    pass
print(len(open_now))
"""

pytestmark = pytest.mark.slow


def test_open_files(make: Make) -> None:
    inside = make()
    raised = ["/bin/sh", "-c", 'ulimit -n 9000 2>/dev/null; exec "$@"', "sh", PYTHON, "-c", MANY]
    for command in ([PYTHON, "-c", MANY], raised):
        assert int(said(inside.exec(command))) < 4096
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[1] > 4096, "more would be had outside"
