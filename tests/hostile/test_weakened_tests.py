"""Tests that ask for less, committed by the agent so that HEAD has them."""

from __future__ import annotations

import pytest

from katcore.environment.workspace import workspace
from katcore.rollout.patch import read_changes
from katcore.source.git import GIT_ENV
from tests.support.grading import TEST
from tests.support.hostile_cases import Attack, patch
from tests.support.sandbox_cases import Make, said

WEAK = TEST.replace("== 3", "!= 3")

pytestmark = pytest.mark.slow


def test_weakened_tests(attack: Attack) -> None:
    weak = patch({"tests/test_calm.py": WEAK})
    attack.dropped(weak, "tests/test_calm.py")
    attack.works(weak, "files", "tests", "control")


def test_weakened_tests_committed(attack: Attack, make: Make) -> None:
    base = workspace(attack.task.source)
    box = make(repo=base)
    box.put("tests/test_calm.py", WEAK.encode())
    commit = "git -c user.name=a -c user.email=a@a commit -qam weak && git checkout HEAD -- tests && git status --short"
    assert said(box.exec(commit, env=GIT_ENV)) == "", "what trusts HEAD finds nothing to restore"
    assert list(read_changes(box, base).files) == ["tests/test_calm.py"], "the base is what counts"
