"""Golden cases: each folder `tests/cli/COMMAND/CASE` holds a shell line, its input, and what it must print.

`cmd` is run by bash in a copy of the folder; `expected.stdout`, `expected.stderr` and `expected.code` are compared
after times are blanked out. `make golden` writes them anew: read the diff.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

WRITE = os.environ.get("KAT_GOLDEN") == "write"  # read here: a test's own environment has no KAT_* setting
CASES = sorted(path.parent for path in Path(__file__).parent.glob("kat-*/*/cmd"))
TIMES = (
    (re.compile(r", \d+\.\d s$", re.MULTILINE), ", T s"),
    (re.compile(r'"(seconds|grade|boot|agent)": ?\d+(\.\d+)?'), r'"\1":T'),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(?=\",\"seconds)"), "TIME"),
)


def blank(text: str) -> str:
    for pattern, replacement in TIMES:
        text = pattern.sub(replacement, text)
    return text


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_command_does_what_it_did(case: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    shutil.copytree(case, work, ignore=shutil.ignore_patterns("expected.*"))
    env = {**os.environ, "KAT_CACHE": str(tmp_path / "cache"), "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", (case / "cmd").read_text()],
        cwd=work, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    seen = {"stdout": blank(done.stdout), "stderr": blank(done.stderr), "code": f"{done.returncode}\n"}
    for name, text in seen.items():
        expected = case / f"expected.{name}"
        if WRITE:
            expected.write_text(text)
        assert text == expected.read_text(), f"{expected.relative_to(case.parent.parent)} differs"
