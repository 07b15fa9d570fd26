"""A small project with a bug as a task, as kat-build-env would make it, and patches against it.

`add` subtracts: `test_add` is FAIL_TO_PASS, `test_sub` PASS_TO_PASS. Test files, test configuration and the test
command are those that build_env records, so that what is tested here is what a real task has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from benchmarks import small_task
from benchmarks.small_task import Files, archive, environment_with_pytest, grade, trajectory
from katcore.errors import SandboxError
from katcore.pool import Item
from katcore.records import Environment, Task, Trajectory, encode
from katcore.sandbox import Spec
from katcore.verify.attempts import Attempt

__all__ = [
    "BASE", "CALM", "F2P", "FIXED", "GOLD", "P2P", "TEST", "Dead", "archive", "calm_task", "environment_with_pytest",
    "grade", "item", "patch", "trajectory",
]  # fmt: skip

CALM = "def add(a, b):\n    return a - b\n\n\ndef sub(a, b):\n    return a - b\n"
FIXED = CALM.replace("a - b", "a + b", 1)
TEST = "from calm import add, sub\n\ndef test_add():\n    assert add(1, 2) == 3\n\n"
TEST += "def test_sub():\n    assert sub(3, 2) == 1\n"
BASE: dict[str, str] = {
    "pyproject.toml": '[project]\nname = "calm"\nversion = "1"\n[tool.pytest.ini_options]\ntestpaths = ["tests"]\n',
    "setup.cfg": "[metadata]\nname = calm\n",
    "calm/__init__.py": CALM,
    "tests/test_calm.py": TEST,
}
F2P, P2P = "tests/test_calm.py::test_add", "tests/test_calm.py::test_sub"


class Dead:
    """A sandbox under the name of the real one whose boxes never start."""

    name = "bubblewrap"

    def check(self) -> None:
        pass

    def create(self, spec: Spec) -> NoReturn:
        raise SandboxError("no box today")


def patch(new: Files, base: Mapping[str, str] = BASE) -> str:
    """git's diff from `base` to it with `new` written over it."""
    return small_task.patch(new, base)


GOLD = patch({"calm/__init__.py": FIXED})


def calm_task(environment: Environment, name: str = "calm-1", base: Mapping[str, str] = BASE) -> Task:
    """The task, with test files and a test command as build_env makes them."""
    return small_task.small_task(environment, name, base, [F2P], [P2P])


def item(task: Task | None, attempt: Trajectory) -> Item:
    """What a Verifier is called with."""
    return Item(f"kat.trajectory/1:{attempt.id}", Attempt(attempt, encode(attempt), task))
