"""Code under test that forges its results where it sees the tests that it knows, and leaves no report where it does
not: a control that says nothing is no pass when the known change has a result under the same files."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.grading import GOLD, TEST
from tests.support.hostile_cases import FORGE, Attack, source

SILENT = f"""
import os
if "KAT_REPORT" in os.environ and open("tests/test_calm.py").read() != {TEST!r}:
    os._exit(1)
{FORGE}
"""

pytestmark = pytest.mark.slow


def test_silent_control(attack: Attack) -> None:
    known = msgspec.structs.replace(attack.task, patch=GOLD)
    attack.works(source(SILENT), "control", task=known)
    verdict = attack.fails(source(SILENT), known)
    assert verdict.reason == "no result with wrong expectations (no_report), twice, where the known change has one"
    assert verdict.flags == ["control:no_report"]
    assert attack.unguarded(source(SILENT)).flags == ["control:no_report"], "without a known change it stands, flagged"
    assert attack.fails(source(FORGE), known).reason == "2 tests pass whatever they expect: their results are forged"
    assert attack.unguarded(GOLD, task=known).flags == []
