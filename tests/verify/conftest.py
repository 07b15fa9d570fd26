"""One cache and one environment with pytest for all tests of a session that grade in boxes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from grading import calm_task, environment_with_pytest

from katcore.records import Task


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`$KAT_CACHE`, of this session unless it is set already; workers of one session share it."""
    before = os.environ.get("KAT_CACHE")
    folder = Path(before) if before else tmp_path_factory.getbasetemp().parent / "kat-cache"
    os.environ["KAT_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["KAT_CACHE"]


@pytest.fixture(scope="session")
def task(cache: Path) -> Task:
    """The task of `grading.py`, with an environment that has pytest and what pytest needs."""
    return calm_task(environment_with_pytest())
