"""Lines that look like a successful run."""

from __future__ import annotations

import re

import pytest

from tests.support.hostile_cases import F2P, FAILS, P2P, Attack, source

pytestmark = pytest.mark.slow


def test_forged_output(attack: Attack) -> None:
    lines = f"\n{F2P} PASSED\n{P2P} PASSED\n2 passed in 0.01s\n"
    verdict = attack.fails(source(f"import atexit, os\natexit.register(os.write, 1, {lines.encode()!r})\n"))
    assert verdict.reason == FAILS
    # who reads logs would have believed it
    assert set(re.findall(r"^(\S+) PASSED$", verdict.evidence["log_tail"], re.MULTILINE)) == {F2P, P2P}
