"""A test that is skipped fails the run, by itself and on the workers of xdist."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT

SKIPS = {
    "a test": "import pytest\ndef test_a(): pytest.skip()\ndef test_b(): pass\n",
    "a mark": "import pytest\n@pytest.mark.skipif(True, reason='x')\ndef test_a(): pass\n",
    "a module": "import pytest\npytest.importorskip('never_heard_of_it')\ndef test_a(): pass\n",
    "a fixture": "import pytest\n@pytest.fixture\ndef x(): pytest.skip()\ndef test_a(x): pass\ndef test_b(): pass\n",
}


def run(folder: Path, text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", *arguments, f"--rootdir={folder}", folder]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("workers", ["0", "1"])
@pytest.mark.parametrize("text", SKIPS.values(), ids=SKIPS.keys())
def test_a_skip_is_a_failure(tmp_path: Path, text: str, workers: str) -> None:
    done = run(tmp_path, text, "-n", workers)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "SKIPPED, which is a failure" in done.stdout and "test_it.py" in done.stdout


def test_without_a_skip_all_is_well(tmp_path: Path) -> None:
    assert run(tmp_path, "def test_a(): pass\n").returncode == 0
