"""Code under test that patches the test framework it runs in."""

from __future__ import annotations

import pytest

from tests.support.hostile_cases import Attack, source

SWALLOW = """
import _pytest.runner as runner
real = runner.CallInfo.from_call.__func__
def from_call(cls, func, when, reraise=None):
    call = real(cls, func, when, reraise)
    call.excinfo = None
    return call
runner.CallInfo.from_call = classmethod(from_call)
"""

pytestmark = pytest.mark.slow


def test_patched_assertions(attack: Attack) -> None:
    attack.works(source(SWALLOW), "control")
    assert attack.fails(source(SWALLOW)).reason == "2 tests pass whatever they expect: their results are forged"
