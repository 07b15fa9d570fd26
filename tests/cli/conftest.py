"""What the tests of whole commands share: a cache, and the smallest model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`$KAT_CACHE` that all tests and workers of a session share, so that the environments they need are built once."""
    before = os.environ.get("KAT_CACHE")
    folder = Path(before) if before else tmp_path_factory.getbasetemp().parent / "kat-cache"
    os.environ["KAT_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["KAT_CACHE"]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder made by `kat-train init`, as small as it gets."""
    from katcore.train.init import Shape, init

    folder = tmp_path_factory.mktemp("model") / "M"
    init(folder, Shape(layers=1, hidden=32, heads=2, kv_heads=1))
    return folder
