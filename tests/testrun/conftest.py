"""A cache that all tests of a session share, so that the one environment they need is built once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`$KAT_CACHE`, of this session unless it is set already; workers of one session share it."""
    before = os.environ.get("KAT_CACHE")
    folder = Path(before) if before else tmp_path_factory.getbasetemp().parent / "kat-cache"
    os.environ["KAT_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["KAT_CACHE"]
