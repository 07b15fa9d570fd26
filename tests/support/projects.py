"""Small projects with a history of two commits, and the change between them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from katcore.records import Change, ChangeSource, content_id
from katcore.source.git import open_repository, remember

Files = Mapping[str, str | bytes]
WHEN = "2025-06-01T00:00:00Z"

PYPROJECT = """
[project]
name = "calm-sums"
version = "2.5"
dependencies = []
[project.scripts]
calm = "calm_sums:main"
[tool.pytest.ini_options]
addopts = "--maxfail=1"
testpaths = ["tests"]
"""

SOURCE = '''"""Sums."""
def add(a, b):
    return a - b
def main():
    print(add(1, 0))
'''

TESTS = """
import importlib.metadata, pathlib, socket, subprocess, uuid
import pytest
from calm_sums import add

@pytest.mark.parametrize("a, b, c", [(1, 2, 3), (2, 2, 4)], ids=["one and two", "two::[two]"])
def test_add(a, b, c):
    assert add(a, b) == c

@pytest.mark.parametrize("a", [0, 7], ids=["null", "\\u4e03"])
def test_zero(a):
    assert add(a, 0) == a

def test_metadata():
    assert importlib.metadata.version("calm-sums") == "2.5"

def test_script():
    assert subprocess.run(["calm"], capture_output=True, text=True).stdout == "1\\n"

def test_network():
    socket.create_connection(("192.0.2.1", 80), timeout=1)

def test_skipped():
    pytest.skip("never")

@pytest.mark.xfail
def test_expected():
    assert add(1, 1) == 3

@pytest.mark.parametrize("name", [uuid.uuid4().hex])
def test_never_the_same(name):
    pass
"""

BASE = {
    "pyproject.toml": PYPROJECT,
    "src/calm_sums/__init__.py": SOURCE,
    "tests/test_add.py": "from calm_sums import add\n",
    "README": "none\n",
}
HEAD = {
    "src/calm_sums/__init__.py": SOURCE.replace("a - b", "a + b"),
    "tests/test_add.py": TESTS,
    "tests/data.bin": b"\x00\xff",
}


def git(folder: Path, *arguments: str) -> str:
    who = {f"GIT_{r}_{w}": v for r in ("AUTHOR", "COMMITTER") for w, v in (("NAME", "a"), ("EMAIL", "a@b"))}
    env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": "/dev/null"}
    return subprocess.run(["git", *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, files: Files) -> str:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "-m", "x")
    return git(folder, "rev-parse", "HEAD").strip()


MESSAGE = "Add instead of subtracting\n\nSums were differences.\n\nFixes #3\n"


def change(folder: Path, base: Files, head: Files, message: str = MESSAGE) -> Change:
    """The change from `base` to `head`, in a repository that is made in `folder` and remembered in the cache."""
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "-b", "main", ".")
    old, new = commit(folder, base), commit(folder, head)
    remember(open_repository(str(folder)))
    diff = ("diff", "--binary", "--full-index", old, new, "--")
    return Change(
        id=content_id(folder.name, old, new),
        repo=folder.name,
        base_commit=old,
        head_commit=new,
        created_at=WHEN,
        title=message.partition("\n")[0],
        body=message.partition("\n")[2].strip("\n"),
        patch=git(folder, *diff, ":(exclude,glob)**/tests/**"),
        test_patch=git(folder, *diff, ":(glob)**/tests/**"),
        source=ChangeSource(kind="commit"),
    )
