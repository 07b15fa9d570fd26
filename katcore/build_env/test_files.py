"""The tests as a task wants them: their files and pytest's configuration, as they are after the change.

In: the folder after the change, and the files of the test patch. Out: path -> `TestFile`. Recorded are all Python test
files, every file that the test patch touches, and every file that decides how pytest runs; configuration files that
pytest would believe and that are not there are recorded as absent, so that an attempt cannot add one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from katcore.build_env.recipe import pytest_config
from katcore.records import TestFile
from katcore.source.quoting import readable
from katcore.testrun.test_files import read_test_file

GUARDED = (
    "conftest.py",
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "sitecustomize.py",
    "usercustomize.py",
)
"""Files that are recorded as absent where they do not exist; Python reads the last two at every start."""
_FOLDERS = frozenset({"test", "tests", "testing"})
_NAMES = re.compile(r"(test.*|.*_tests?|conftest)\.py")
_SKIPPED = frozenset({".git", ".tox", ".nox", ".venv", "venv", "node_modules", "__pycache__", "build", "dist"})


def wanted_files(folder: Path, touched: Sequence[str], source_dirs: Sequence[str] = ()) -> dict[str, TestFile]:
    """The files that verification restores before it grades, by path and sorted."""
    names = {*touched, *GUARDED, *_tests(folder)}
    names |= {f"{top}/{name}" for top in source_dirs if top != "." for name in ("sitecustomize.py", "usercustomize.py")}
    config = pytest_config(folder).file
    if config:
        names.add(config)
    return {readable(os.fsencode(name)): read_test_file(folder / name) for name in sorted(names)}


def _tests(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        parts = path.relative_to(folder).parts
        if _SKIPPED.isdisjoint(parts) and (_NAMES.fullmatch(parts[-1]) or not _FOLDERS.isdisjoint(parts[:-1])):
            yield "/".join(parts)
