"""What the tests of whole commands share: a cache, and the smallest model."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcore.train.options import InitOptions


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder made by `kat-train init`, as small as it gets."""
    from katcore.train.init import init

    folder = tmp_path_factory.mktemp("model") / "M"
    init(folder, InitOptions(layers=1, hidden=32, heads=2, kv_heads=1))
    return folder
