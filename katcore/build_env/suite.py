"""Which paths hold a project's whole test suite.

In: the folder after the change, pytest's configuration, the test files that the change touches. Out: paths for pytest,
as it is configured; else the usual folders at the top; else, for projects that keep their tests inside their packages
or beside their modules, everything at the top that has a test file somewhere in it. The change's own tests are always
among them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

USUAL = ("tests", "test", "testing")
NAMES = re.compile(r"(test.*|.*_tests?)\.py")
ASIDE = re.compile(
    r"docs?|documentation|examples?|samples?|benchmarks?|bench|scripts?|tools?|ci|vendor|third[-_]party|extern", re.I
)
"""Matches folders at the top whose test files are no part of a suite, unless the change touches them."""
_SKIPPED = re.compile(r"\..*|.*\.egg|build|dist|node_modules|venv|CVS|_darcs|__pycache__")
"""Matches folders that pytest itself does not enter."""


def suite_paths(folder: Path, configured: Sequence[str], touched: Sequence[str]) -> list[str]:
    """The paths of the suite, relative to the folder."""
    own = [path for path in touched if path.endswith(".py") and (folder / path).exists()]
    paths = list(configured) or [name for name in USUAL if (folder / name).is_dir()] or _tops(folder, own)
    for path in own:
        inside = any(path == p or path.startswith(p.rstrip("/") + "/") for p in paths)
        if not inside and not any("*" in p for p in paths):
            paths.append(path)
    return paths


def _tops(folder: Path, own: Sequence[str]) -> list[str]:
    """What lies at the top and has test files: packages, `src`, modules of tests."""
    tops = {path.partition("/")[0] for path in (*own, *_test_files(folder))}
    return sorted(top for top in tops if not ASIDE.fullmatch(top))


def _test_files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*.py"):
        *above, name = path.relative_to(folder).parts
        if NAMES.fullmatch(name) and not any(map(_SKIPPED.fullmatch, above)):
            yield "/".join([*above, name])
