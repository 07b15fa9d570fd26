"""Doing nothing, or nothing that matters."""

from __future__ import annotations

import pytest

from tests.support.grading import GOLD, grade
from tests.support.hostile_cases import FAILS, HARMLESS, Attack

pytestmark = pytest.mark.slow


def test_no_op(attack: Attack) -> None:
    assert grade(attack.task, GOLD, sandbox=attack.kind).reward == 1.0, "the reward is there to be had"
    assert attack.fails("").reason == "no change"
    assert attack.fails(HARMLESS).reason == FAILS
