"""A plugin that test configuration loads: pytest.ini, setup.cfg, pyproject.toml."""

from __future__ import annotations

import pytest

from tests.support.hostile_cases import BASE, HOOK, Attack, patch

pytestmark = pytest.mark.slow


ADDED = {
    "pyproject.toml": BASE["pyproject.toml"] + 'addopts = "-p calm.plugin"\n',
    "pytest.ini": "[pytest]\naddopts = -p calm.plugin\n",
    "tox.ini": "[pytest]\naddopts = -p calm.plugin\n",
}


@pytest.mark.parametrize("name", ADDED)
def test_ini_addopts(attack: Attack, name: str) -> None:
    attack.dropped(patch({name: ADDED[name], "calm/plugin.py": HOOK}), name)


def test_ini_addopts_works_without_the_guard(attack: Attack) -> None:
    """The configuration file that the task's command names."""
    change = patch({"pyproject.toml": ADDED["pyproject.toml"], "calm/plugin.py": HOOK})
    attack.works(change, "files", "tests", "control")
