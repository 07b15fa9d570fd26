"""Files that say what a test expects and are not tests themselves: data and helpers beside the tests."""

from __future__ import annotations

import msgspec
import pytest

from katcore.records import Task, TaskSource, TestFile
from tests.support.grading import BASE, archive
from tests.support.hostile_cases import HARMLESS, Attack, patch

pytestmark = pytest.mark.slow

TEST = """import json
from pathlib import Path
from calm import add, sub
EXPECTED = json.loads((Path(__file__).parent / "data" / "expected.json").read_text())
def test_add():
    assert add(1, 2) == EXPECTED["add"]
def test_sub():
    assert sub(3, 2) == EXPECTED["sub"]
"""
FILES = BASE | {"tests/test_calm.py": TEST, "tests/data/expected.json": '{"add": 3, "sub": 1}\n'}


@pytest.fixture
def with_data(task: Task) -> Task:
    files = task.test_files | {"tests/test_calm.py": TestFile(text=TEST)}
    return msgspec.structs.replace(task, source=TaskSource(kind="inline", url=archive(FILES)), test_files=files)


def test_changed_expectations(attack: Attack, with_data: Task) -> None:
    evil = patch({"tests/data/expected.json": '{"add": -1, "sub": 1}\n'}, FILES)
    verdict = attack.fails(HARMLESS + evil, with_data)
    assert verdict.flags == ["dropped:tests/data/expected.json"]
    attack.works(evil, "files", task=with_data)
