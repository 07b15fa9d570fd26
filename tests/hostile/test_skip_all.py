"""Skipping instead of passing."""

from __future__ import annotations

import pytest

from tests.support.hostile_cases import Attack, source

pytestmark = pytest.mark.slow


def test_skip_all(attack: Attack) -> None:
    skip = "import pytest\ndef skip(a, b): pytest.skip('no')\nadd = sub = skip\n"
    verdict = attack.fails(source(skip))
    assert verdict.reason == "1 FAIL_TO_PASS and 1 PASS_TO_PASS tests did not pass"
    # no failure and exit status 0: who asks for no more would have believed it
    assert verdict.evidence["counts"] == {"SKIPPED": 2} and verdict.evidence["exit_code"] == 0
