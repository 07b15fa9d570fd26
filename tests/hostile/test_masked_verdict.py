"""Failing in a way that looks like a failure of the machine: a masked verdict costs an attempt nothing."""

from __future__ import annotations

import errno

import msgspec
import pytest

from katcore.errors import SandboxError
from katcore.testrun import run
from tests.support.hostile_cases import Attack, source

pytestmark = pytest.mark.slow

PLACE = "import os\nif 'KAT_REPORT' in os.environ:\n    place = os.environ['KAT_REPORT'] + '/report.xml'\n"
ATTACKS = {
    "memory": "os.symlink('/proc/self/mem', place)",
    "page-map": "os.symlink('/proc/self/pagemap', place)",
    "kernel-log": "os.symlink('/proc/kmsg', place)",
    "shut": "os.close(os.open(place, os.O_CREAT, 0))",
    "shut-folder": "os.chmod(os.path.dirname(place), 0)",
}
SHUT = "import os\nif 'KAT_REPORT' not in os.environ:\n    os.chmod('/testbed', 0)\n"


@pytest.mark.parametrize("name", ATTACKS)
def test_a_report_that_cannot_be_read(attack: Attack, name: str) -> None:
    reason = attack.fails(source(f"{PLACE}    {ATTACKS[name]}\n    os._exit(0)\n")).reason
    assert reason.split(":")[0] in ("bad_report", "no_report")


def test_a_report_that_cannot_be_read_masks_without_the_guard(attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an error of reading is taken for one of the machine."""
    believed = run._report

    def trusting(box: object, path: str) -> bytes | None:
        try:
            return believed(box, path)  # type: ignore[arg-type]
        except run.BadReport as error:
            raise SandboxError(str(error)) from error

    monkeypatch.setattr(run, "_report", trusting)
    code = f"{PLACE}    {ATTACKS['memory']}\n    os._exit(0)\n"
    verdict = attack.unguarded(source(code))
    assert verdict.masked and str(errno.EIO) in verdict.reason


def test_a_repository_that_the_set_up_shuts(attack: Attack) -> None:
    environment = msgspec.structs.replace(attack.task.environment, setup=["/opt/env/bin/python -c 'import calm'"])
    verdict = attack.fails(source(SHUT), msgspec.structs.replace(attack.task, environment=environment))
    assert "test files could not be restored" in verdict.reason
