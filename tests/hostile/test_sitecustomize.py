"""Modules and .pth files that every Python start runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcore.sandbox import PYTHON
from tests.support.hostile_cases import FORGE, HOOK, Attack, patch
from tests.support.sandbox_cases import Make, said

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["sitecustomize.py", "usercustomize.py"])
def test_sitecustomize(attack: Attack, name: str) -> None:
    attack.dropped(patch({name: FORGE}), name)


def test_sitecustomize_works_without_the_guard(attack: Attack) -> None:
    attack.works(patch({"sitecustomize.py": FORGE}), "files", "tests", "control")


def test_pth(attack: Attack) -> None:
    attack.dropped(patch({"evil.pth": "import calm.plugin\n", "calm/plugin.py": HOOK}), "evil.pth")


def test_usercustomize_and_pth_work_without_the_guard(make: Make, tmp_path: Path) -> None:
    """Where a Python outside a virtual environment starts in the folder, or takes it for a site."""
    (tmp_path / "usercustomize.py").write_text("print('user')\n")
    (tmp_path / "evil.pth").write_text("import sys; print('pth')\n")
    tmp_path.chmod(0o755)
    box = make(repo=tmp_path)
    run = [PYTHON, "-c", "import site; site.addsitedir('/testbed')"]
    assert said(box.exec(run, env={"PYTHONPATH": "/testbed"})) == "user\npth"
