"""A task whose tests run under another runner than pytest is graded by the same rules."""

from __future__ import annotations

import msgspec
import pytest

from katcore.environment.built import this_base, this_platform
from katcore.environment.pip import resolve
from katcore.records import Environment, Report, Task, TaskSource, TestFile, Verification
from tests.support.grading import CALM, FIXED, archive, grade, patch

pytestmark = pytest.mark.slow

TEST = """
import unittest
from calm import add, sub

class Calm(unittest.TestCase):
    def test_add(self):
        self.assertEqual(add(1, 2), 3)

    def test_sub(self):
        self.assertEqual(sub(3, 2), 1)
"""
BASE = {"calm/__init__.py": CALM, "test_calm.py": TEST}
F2P, P2P = "test_calm.py::Calm::test_add", "test_calm.py::Calm::test_sub"


@pytest.fixture(scope="module")
def unittest_task(cache: str) -> Task:
    """A task that names its runner and leaves the command to KAT's table."""
    lock = sorted(
        f"{p['metadata']['name']}=={p['metadata']['version']} "
        f"--hash=sha256:{p['download_info']['archive_info']['hashes']['sha256']}"
        for p in resolve(["unittest-xml-reporting"])
    )
    return Task(
        instance_id="calm-unittest",
        repo="calm",
        base_commit="0" * 40,
        created_at="2025-01-01T00:00:00Z",
        source=TaskSource(kind="inline", url=archive(BASE)),
        environment=Environment(
            base=this_base(), platform=this_platform(), lock=lock, report=Report(kind="unittest"),
            env={"PYTHONPATH": "/testbed"},
        ),
        verification=Verification(FAIL_TO_PASS=[F2P], PASS_TO_PASS=[P2P]),
        test_files={"test_calm.py": TestFile(text=TEST)},
    )  # fmt: skip


def change(code: str) -> str:
    return patch({"calm/__init__.py": code}, BASE)


def test_the_fix_passes(unittest_task: Task) -> None:
    verdict = grade(unittest_task, change(FIXED))
    assert (verdict.reward, verdict.reason, verdict.flags) == (1.0, "passed", [])
    assert verdict.parts == {"f2p": [1, 1], "p2p": [1, 1]}


SKIPS = "import unittest\ndef add(a, b):\n    raise unittest.SkipTest('no')\n\n\ndef sub(a, b):\n    return a - b\n"


@pytest.mark.parametrize(
    ("code", "not_passed"),
    [
        (CALM + "\n", {F2P: "FAILED"}),
        (SKIPS, {F2P: "SKIPPED"}),
        (FIXED.replace("a - b", "1 / 0"), {P2P: "ERROR"}),
        ("import os\nos._exit(0)\n", {F2P: "MISSING", P2P: "MISSING"}),
    ],
    ids=["wrong", "skips", "breaks", "leaves"],
)
def test_what_does_not_pass_is_no_reward(unittest_task: Task, code: str, not_passed: dict[str, str]) -> None:
    verdict = grade(unittest_task, change(code))
    assert (verdict.reward, verdict.masked, verdict.evidence["not_passed"]) == (0.0, False, not_passed)


def test_a_runner_that_nobody_knows_says_nothing_about_the_attempt(unittest_task: Task) -> None:
    environment = msgspec.structs.replace(unittest_task.environment, report=Report(kind="tox"))
    verdict = grade(msgspec.structs.replace(unittest_task, environment=environment), change(FIXED))
    assert verdict.masked and "unknown kind of report 'tox'" in verdict.reason
