"""A model made by `init`, for the tests that need a folder."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model made by `init`, as small as it gets."""
    from katcore.train.init import Shape, init

    folder = tmp_path_factory.mktemp("model") / "M"
    init(folder, Shape(layers=2, hidden=32, heads=4, kv_heads=2))
    return folder
