"""Tests that are not there any more."""

from __future__ import annotations

import pytest

from tests.support.grading import TEST
from tests.support.hostile_cases import FAILS, Attack, patch

WITHOUT = TEST[: TEST.index("def test_add")] + TEST[TEST.index("def test_sub") :]

pytestmark = pytest.mark.slow


def test_deleted_tests(attack: Attack) -> None:
    attack.dropped(patch({"tests/test_calm.py": None}), "tests/test_calm.py")
    attack.dropped(patch({"tests/test_calm.py": WITHOUT}), "tests/test_calm.py")
    without = attack.unguarded(patch({"tests/test_calm.py": WITHOUT}), "files", "tests", "control")
    assert (without.reward, without.reason) == (0.0, FAILS), "an expected test that is missing has failed"
    # who counts failures would have believed it
    assert without.evidence["counts"] == {"PASSED": 1} and without.evidence["exit_code"] == 0
