"""One cache and one environment with pytest for all tests of a session that grade in boxes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "testrun"))

from grading import calm_task, environment_with_pytest

from katcore.records import Task


@pytest.fixture(scope="session")
def task(cache: Path) -> Task:
    """The task of `grading.py`, with an environment that has pytest and what pytest needs."""
    return calm_task(environment_with_pytest())
