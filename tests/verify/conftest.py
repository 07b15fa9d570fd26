"""One cache and one environment with pytest for all tests of a session that grade in boxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcore.records import Task
from tests.support.grading import calm_task, environment_with_pytest


@pytest.fixture(scope="session")
def task(cache: Path) -> Task:
    """The task of `grading.py`, with an environment that has pytest and what pytest needs."""
    return calm_task(environment_with_pytest())
