"""Projects as folders of files, and the recipe that their files say."""

from __future__ import annotations

from pathlib import Path

from katcore.build_env.recipe import Recipe, detect

PYTHON = (3, 11)


def project(top: Path, **files: str) -> Path:
    """A folder of files; `__` in a name is a slash, `_dot_` a dot."""
    written = {"tests__test_it_dot_py": "def test_it(): pass\n"} | files
    for name, text in written.items():
        path = top / (name if "/" in name else name.replace("__", "/").replace("_dot_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return top


def recipe(folder: Path, *tests: str) -> Recipe:
    return detect(folder, tests or ("tests/test_it.py",), PYTHON)
