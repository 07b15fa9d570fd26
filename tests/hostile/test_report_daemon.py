"""A process that outlives the tests and rewrites the report."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.hostile_cases import FAILS, REPORT, Attack, source

pytestmark = pytest.mark.slow


def daemon(folders: str, wait: str) -> str:
    """Source that leaves a process in a session of its own behind."""
    script = f"import glob, os, time\n{wait}\nfor folder in glob.glob({folders!r}):\n"
    script += f"    open(folder + '/report.xml', 'w').write({REPORT!r})\n"
    return f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {script!r}], start_new_session=True)\n"


@pytest.mark.parametrize(
    "wait",
    ["parent = os.getppid()\nwhile os.getppid() == parent: pass", "time.sleep(1.5)"],
    ids=["when-the-tests-ended", "later"],
)
def test_report_daemon(attack: Attack, wait: str) -> None:
    verdict = attack.fails(source(daemon("/tmp/kat-report-*", wait)))
    assert verdict.reason.split(":")[0] in (FAILS, "inconsistent", "bad_report")


def test_report_daemon_works_without_the_guard(tmp_path: Path) -> None:
    """Outside a box it survives the process that started it."""
    subprocess.run([sys.executable, "-c", daemon(str(tmp_path), "time.sleep(0.3)")], check=True, timeout=20)
    assert not (tmp_path / "report.xml").exists()
    time.sleep(1.5)
    assert (tmp_path / "report.xml").read_text() == REPORT
