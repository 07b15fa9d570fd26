"""Files and lines that the program `patch` takes from a patch and git does not: whoever reads the patch misses them."""

from __future__ import annotations

import textwrap

import pytest

from katcore.source.diff import content, paths
from tests.support.hostile_cases import FORGE, HARMLESS, Attack

pytestmark = pytest.mark.slow

ADDED = "".join(f"+{line}\n" for line in FORGE.splitlines())
HUNK = f"--- /dev/null\n+++ b/sitecustomize.py\n@@ -0,0+1,{len(FORGE.splitlines())}@@\n{ADDED}"
INDENTED = textwrap.indent(HUNK, "X")
MOVED = "--- a/calm/__init__.py\n+++ b/calm/__init__.py\n@@ -1,2 +1,3 @@\n nobody\n+\n def add(a, b):\n"
"""A hunk that only `patch` applies, by its fuzz."""


@pytest.mark.parametrize("attempt", [HARMLESS + HUNK, HARMLESS + MOVED + INDENTED], ids=["hunk", "indented"])
def test_hidden_hunks(attack: Attack, attempt: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "sitecustomize.py" not in paths(attempt) and not any("KAT_REPORT" in line for _, line in content(attempt))
    assert "not written as git writes them" in attack.fails(attempt).reason
    monkeypatch.setattr("katcore.environment.patch.rewritten", lambda data: data)
    attack.works(attempt, "files", "tests", "control")
