"""Which parts of an attempt's patch may reach the grading box.

In: a patch in git's format and a task. Out: the patch without the files that decide how tests run, and their names.
The task's own copies of those files are restored later anyway; what is dropped here are files that the task does not
know: a new conftest.py, a sitecustomize.py, a module that shadows the test framework.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from katcore.records import Task
from katcore.testrun.patch import paths

HOOKS = frozenset(
    [
        "conftest.py",
        "pytest.ini",
        ".pytest.ini",
        "pytest.toml",
        ".pytest.toml",
        "tox.ini",
        "noxfile.py",
        "sitecustomize.py",
        "usercustomize.py",
        ".coveragerc",
        ".pytest_cache",
    ]
)
"""Files that change how a test run behaves, wherever they lie."""
SHADOWS = frozenset(
    ["pytest", "_pytest", "py", "pluggy", "iniconfig", "packaging", "unittest", "coverage", "xdist", "hypothesis"]
)
"""Top-level modules that a test run imports: a repository that brings a new one of its own would run that first."""

_FILE = re.compile(r"^(?=diff --git )", re.MULTILINE)


@dataclass(frozen=True)
class Kept:
    """What is graded, and what was dropped."""

    patch: str
    dropped: list[str]


def keep(patch: str, task: Task, existed: Callable[[str], bool]) -> Kept:
    """Drop the files of a patch that are tests or could reach into the test run.

    `existed(name)`: whether the base has that top-level entry, as the repositories of the test tools themselves do.
    """
    restored = set(task.test_files)
    kept, dropped = [], []
    for part in _FILE.split(patch):
        names = paths(part)
        if names and any(name in restored or _hooks(name) or _shadows(name, existed) for name in names):
            dropped += names
        else:
            kept.append(part)
    return Kept("".join(kept), sorted(set(dropped)))


def _hooks(name: str) -> bool:
    path = PurePosixPath(name)
    return path.name.lower() in HOOKS or path.suffix in {".pth", ".pyc", ".pyo"} or ".pytest_cache" in path.parts


def _shadows(name: str, existed: Callable[[str], bool]) -> bool:
    top, inside, _ = name.partition("/")
    module = top if inside else top.removesuffix(".py")
    return module in SHADOWS and (bool(inside) or top.endswith(".py")) and not existed(top)
