"""A cache and a pip configuration of each test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcore.source import pip_session


@pytest.fixture(autouse=True)
def own_world(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that the machine's user configured for pip, git or KAT."""
    monkeypatch.setenv("KAT_CACHE", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    pip_session.settings.cache_clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository's folder; its name is the repository's."""
    return tmp_path / "shop"
