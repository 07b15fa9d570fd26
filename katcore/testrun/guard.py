"""Which parts of a patch may reach a box where tests run: an attempt's when it is graded, the known change's when a
task is made, by the same rule, so that what is validated is what is graded.

In: a patch in git's format, a task's test files and environment. Out: the patch without the files that decide how tests
run, and their names. The task's own copies of those files are restored later anyway; what is dropped here are files
that the task does not know: a new conftest.py, a sitecustomize.py, a module that shadows the test framework. A patch's
headers are only what its author says: what it really changed is asked of the box, with the same question (`reaches`).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import PurePosixPath

from katcore.records import Environment
from katcore.source.diff import paths, read_patch
from katcore.source.quoting import readable
from katcore.testrun.runners import runner_of

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
"""Names of files that change how a test run behaves, in whatever folder they lie."""
SHADOWS = frozenset(
    """
    pytest _pytest py pluggy iniconfig packaging pygments exceptiongroup tomli colorama typing_extensions attr attrs
    unittest xmlrunner coverage xdist execnet hypothesis sitecustomize usercustomize kat_nodeid
    """.split()  # noqa: SIM905 - a list of names, one word each
)
"""Top-level modules that a test run imports: a repository that brings a new one of its own would run that first.

So would one that is called like a package of the environment, whose plugins pytest loads by name."""
METADATA = (".dist-info", ".egg-info", ".egg-link", ".egg")
"""Metadata of an installed project, which importlib finds in a checkout too, in any case: its entry points load pytest
plugins."""
FOLDERS = frozenset(
    ["test", "tests", "__tests__", "testdata", "test_data", "test-data", "__snapshots__", "__fixtures__", "__mocks__"]
)
"""Folders whose files say what tests expect, be they listed with the task or not: a change of one weakens a test."""


@dataclass(frozen=True)
class GuardedPatch:
    """The patch that goes into the box, and the names of the files that were dropped from it."""

    patch: str
    dropped: list[str]


@dataclass(frozen=True)
class Guard:
    """`tests`: the task's own test files; `existed(name)`: whether the base has that file or folder, as the
    repositories of the test tools themselves do; `free`: folders called like those of tests that hold source."""

    tests: Container[str]
    environment: Environment
    existed: Callable[[str], bool]
    free: tuple[str, ...] = ()

    def keep(self, patch: str) -> GuardedPatch:
        """Drop the files of a patch that are tests or could reach into the test run."""
        data = patch.encode("utf-8", "surrogateescape")
        diffs, dropped = read_patch(data), set[bytes]()
        kept = data[: len(data) - sum(len(diff.raw) for diff in diffs)]
        for diff in diffs:
            if any(self.reaches(os.fsdecode(name)) for name in diff.claimed):
                dropped |= diff.claimed
            else:
                kept += diff.raw
        return GuardedPatch(kept.decode("utf-8", "surrogateescape"), sorted(readable(name) for name in dropped))

    def reaches(self, name: str) -> bool:
        """Whether a file is a test of the task, or decides how a test run goes."""
        hooks = runner_of(self.environment).hooks
        if hooks and hooks.fullmatch(name):
            return True
        return (
            name in self.tests
            or _hooks(name)
            or _before_a_test(name, self.tests)
            or _shadows(name, self.environment, self.existed)
            or (_test_folder(name) != "" and not name.startswith(self.free) and self.existed(name))
        )


def source_folders(known: str) -> tuple[str, ...]:
    """Folders called like those of tests in which the known change is made: `django/test/` is a library's source."""
    return tuple(sorted({folder for name in paths(known) if (folder := _test_folder(name))}))


def _test_folder(name: str) -> str:
    """The outermost folder of tests that a file lies in, with a slash; nothing where it lies in none."""
    parts = name.split("/")
    place = next((i for i, part in enumerate(parts[:-1]) if part.lower() in FOLDERS), None)
    return "" if place is None else "/".join(parts[: place + 1]) + "/"


def _hooks(name: str) -> bool:
    path = PurePosixPath(name.lower())
    return (
        path.name in HOOKS
        or path.name.endswith((".pth", ".pyc", ".pyo"))
        or ".pytest_cache" in path.parts
        or any(part.endswith(METADATA) for part in path.parts)
    )


def _before_a_test(name: str, tests: Container[str]) -> bool:
    """Whether Python would import the file in place of a test beside it: a package or an extension of its name."""
    path = PurePosixPath(name)
    if path.suffix == ".so" and f"{path.parent / path.name.partition('.')[0]}.py" in tests:
        return True
    return any(f"{parent}.py" in tests for parent in path.parents)


def _shadows(name: str, environment: Environment, existed: Callable[[str], bool]) -> bool:
    """Whether the file is a new module, where imports start, with the name of one that a test run imports."""
    shadows = SHADOWS | _installed(tuple(environment.lock))
    for root in _roots(environment):
        if not name.startswith(root):
            continue
        top, _, inside = name.removeprefix(root).partition("/")
        module, dot, suffix = top.partition(".")
        importable = (not dot) if inside else (not dot or suffix == "py" or suffix.endswith("so"))
        # a folder called like one of the standard library's modules is one only with an __init__
        known = module in shadows or (module in sys.stdlib_module_names and (not inside or inside == "__init__.py"))
        if importable and known and not existed(root + top):
            return True
    return False


@lru_cache(maxsize=16)
def _installed(lock: tuple[str, ...]) -> frozenset[str]:
    """The names that the modules of a lock's packages have by custom."""
    names = (re.match(r"[\w.-]+", line) for line in lock)
    return frozenset(re.sub(r"[-.]", "_", found[0].lower()) for found in names if found)


def _roots(environment: Environment) -> Iterator[str]:
    """The folders of the repository where imports start, as prefixes of names: its top, and those of PYTHONPATH."""
    yield ""
    top = environment.workdir.rstrip("/") + "/"
    for entry in environment.env.get("PYTHONPATH", "").split(":"):
        if entry.startswith(top) and entry != top:
            yield entry.removeprefix(top).rstrip("/") + "/"
