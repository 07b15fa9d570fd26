"""Modules that a test run imports before, or in place of, what it should: each under a name of its own."""

from __future__ import annotations

import pytest

from tests.support.hostile_cases import FORGE, HOOK, Attack, patch

pytestmark = pytest.mark.slow

POINTS = "[pytest11]\ne = hook\n"
MINE = "__file__ = '/testbed/tests/test_calm.py'\ndef test_add(): pass\ndef test_sub(): pass\n"
ATTACKS = {
    "a-package-sitecustomize": {"sitecustomize/__init__.py": FORGE},
    "the-runner's-own-plugin": {"kat_nodeid.py": HOOK},
    "a-library-of-the-runner": {"pygments/__init__.py": FORGE},
    "a-package-in-place-of-a-test": {"tests/test_calm/__init__.py": MINE},
    "metadata-in-capitals": {
        "E.DIST-INFO/METADATA": "Name: e\n", "E.DIST-INFO/RECORD": "", "E.DIST-INFO/entry_points.txt": POINTS,
    },
    "metadata-without-a-name": {
        ".dist-info/METADATA": "Name: e\n", ".dist-info/RECORD": "", ".dist-info/entry_points.txt": POINTS,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", ATTACKS)
def test_early_imports(attack: Attack, name: str) -> None:
    files = ATTACKS[name]
    attack.dropped(patch({**files, "hook.py": HOOK}), *sorted(files))
    attack.works(patch({**files, "hook.py": HOOK}), "files", "control")
