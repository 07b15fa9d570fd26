from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from katcore.disk.cache import cache_root

INSTALLATIONS = cache_root() / "scaffold"
"""Of whoever runs the tests: downloads are cached between runs, all else of the cache is each test run's own."""


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def own_cache(cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cache for these tests: an environment is built once."""
    monkeypatch.setenv("KAT_CACHE", cache)


@pytest.fixture
def installations(cache: str) -> Path:
    """Where agents are installed, in the cache of these tests."""
    INSTALLATIONS.mkdir(parents=True, exist_ok=True)
    folder = Path(cache, "scaffold")
    with contextlib.suppress(FileExistsError):
        folder.symlink_to(INSTALLATIONS)
    return folder
