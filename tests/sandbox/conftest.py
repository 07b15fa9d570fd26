"""Real boxes in a cache of the test session's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from katcore.sandbox import Box, Sandbox, Spec, sandbox
from tests.support import ROOT
from tests.support.sandbox_cases import Make, Script


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def own_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAT_CACHE", str(cache))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A small tree with what overlays find hard: folders to rename, links, an executable, odd names."""
    top = tmp_path / "a repo, with: odd\\name"
    (top / "pkg" / "sub").mkdir(parents=True)
    (top / "empty").mkdir()
    for name in ("README", "pkg/a.py", "pkg/b.py", "pkg/sub/c.py", "with space \n and newline"):
        (top / name).write_text(f"content of {name}\n")
    (top / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (top / "run.sh").chmod(0o755)
    (top / "link").symlink_to("pkg/a.py")
    for path in [*top.rglob("*"), top]:  # an engine takes what has the size and the second of the original for it
        os.utime(path, (1_700_000_000, 1_700_000_000), follow_symlinks=False)
    return top


@pytest.fixture(params=["overlay", "copy"])
def layering(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways to keep the repository unchanged."""
    if request.param == "copy":
        monkeypatch.setattr("katcore.sandbox.bubblewrap._overlays", lambda top: False)
    return str(request.param)


@pytest.fixture
def kind() -> str:
    """The sandbox under test; modules of the contract suite have one with both."""
    return "bubblewrap"


@pytest.fixture
def boxes(kind: str, request: pytest.FixtureRequest) -> Sandbox:
    """The sandbox of that kind, on a real engine where it needs one."""
    if kind == "docker":
        request.getfixturevalue("engine")
    return sandbox(kind)


@pytest.fixture
def make(repo: Path, boxes: Sandbox) -> Iterator[Make]:
    """Make a box over the repository; all are closed at the end."""
    made: list[Box] = []

    def create(other: Sandbox | None = None, **changes: object) -> Box:
        box = (other or boxes).create(Spec(**{"name": "test", "repo": repo, **changes}))  # type: ignore[arg-type]
        made.append(box)
        return box

    yield create
    for box in made:
        box.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Copies and missing cgroups are matters of bubblewrap: a test over them and both kinds runs once with Docker."""

    def wanted(item: pytest.Item) -> bool:
        params = getattr(item, "callspec", None) and item.callspec.params  # type: ignore[attr-defined]
        other = params and (params.get("layering") == "copy" or params.get("means") == "rlimits")
        return not (other and params.get("kind") == "docker")

    items[:] = [item for item in items if wanted(item)]


@pytest.fixture
def script(tmp_path: Path) -> Script:
    """Run Python source that imports katcore in a process of its own, behind a prefix command."""

    def run(
        source: str, *arguments: str, prefix: Sequence[str] = (), python: str = sys.executable, **env: str
    ) -> subprocess.CompletedProcess[str]:
        command = [*prefix, python, "-c", source, *arguments]
        known = {**os.environ, "PYTHONPATH": str(ROOT), **env}
        return subprocess.run(command, env=known, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def unprivileged() -> bool:
    return os.getuid() != 0
