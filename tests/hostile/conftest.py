"""The hostile suite: one file for each attack, on both sandboxes. Each attack gets no reward or is refused, leaves
nothing behind, and is shown to work where the guard is missing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from katcore.records import Task
from katcore.sandbox import Box, Sandbox, Spec, sandbox
from tests.support.grading import calm_task, environment_with_pytest
from tests.support.hostile_cases import Attack, running_boxes
from tests.support.sandbox_cases import KINDS, Make


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The sandbox that is attacked."""
    return str(request.param)


@pytest.fixture
def boxes(kind: str, request: pytest.FixtureRequest) -> Sandbox:
    """That sandbox, on a real engine where it needs one."""
    if kind == "docker":
        request.getfixturevalue("engine")
    return sandbox(kind)


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """No box, container, cgroup or process of a box stays behind."""
    if "engine" in request.fixturenames or "docker" in str(getattr(request.node, "callspec", "")):
        request.getfixturevalue("engine")
    before = running_boxes()
    yield
    assert running_boxes() == before


@pytest.fixture
def make(boxes: Sandbox) -> Iterator[Make]:
    """Make a box without a repository; all are closed at the end."""
    made: list[Box] = []

    def create(**changes: object) -> Box:
        made.append(boxes.create(Spec(**{"name": "hostile", **changes})))  # type: ignore[arg-type]
        return made[-1]

    yield create
    for box in made:
        box.close()


@pytest.fixture(scope="session")
def task(cache: Path) -> Task:
    """The task of `grading.py`: `add` subtracts."""
    return calm_task(environment_with_pytest())


@pytest.fixture
def attack(task: Task, kind: str, boxes: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Attack:
    """Grade patches on the sandbox that is attacked, with guards and without them."""
    return Attack(task, kind, monkeypatch)
