"""Results that are equal to whatever a test expects."""

from __future__ import annotations

import pytest

from tests.support.hostile_cases import Attack, source

EQUAL = """
class Equal(int):
    __hash__ = int.__hash__
    def __eq__(self, other): return True
    def __ne__(self, other): return False
def add(a, b): return Equal(a - b)
"""

pytestmark = pytest.mark.slow


def test_equal_to_everything(attack: Attack) -> None:
    attack.works(source(EQUAL), "control")
    verdict = attack.fails(source(EQUAL))
    assert verdict.flags == ["forged:tests/test_calm.py::test_add"]
