"""Leaving with success before a test could fail."""

from __future__ import annotations

import pytest

from tests.support.hostile_cases import Attack, source

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "leave", ["import os\nos._exit(0)\n", "import sys\nsys.exit(0)\n"], ids=["os-exit", "sys-exit"]
)
def test_exit_0(attack: Attack, leave: str) -> None:
    verdict = attack.fails(source(leave))
    assert verdict.reason.split(":")[0] in ("no_report", "inconsistent")


def test_exit_0_works_without_the_guard(attack: Attack) -> None:
    """The exit status is that of a successful run."""
    assert attack.fails(source("import os\nos._exit(0)\n")).evidence["exit_code"] == 0
