"""A cache and a pip configuration of each test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.repos import forget_settings


@pytest.fixture(autouse=True)
def own_world(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing that the machine's user configured for pip, git or KAT."""
    forget_settings(monkeypatch, tmp_path_factory.mktemp("cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A repository's folder; its name is the repository's."""
    return tmp_path / "shop"
