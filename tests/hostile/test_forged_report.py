"""Code under test that writes the report itself, and ends the run with success."""

from __future__ import annotations

import pytest

from tests.support.hostile_cases import FORGE, Attack, source

LATE = (
    "import atexit\ndef forge():\n"
    + "".join(f"    {line}\n" for line in FORGE.splitlines())
    + "atexit.register(forge)\n"
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("forge", [FORGE, LATE], ids=["at-import", "at-exit"])
def test_forged_report(attack: Attack, forge: str) -> None:
    verdict = attack.fails(source(forge))
    assert verdict.reason == "2 tests pass whatever they expect: their results are forged"


def test_forged_report_works_without_the_guard(attack: Attack) -> None:
    attack.works(source(FORGE), "control")


def test_forged_report_at_another_place(attack: Attack) -> None:
    elsewhere = FORGE.replace('os.environ["KAT_REPORT"] + ', '"/tmp" + ')
    assert attack.fails(source(elsewhere)).reason == "no_report"
