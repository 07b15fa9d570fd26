"""Rubrics: dimensions with weights and anchored scales from 0 to 5.

In: `verification.rubric` of a task, or one of the rubrics that come with KAT (`web_page.json`, ten dimensions for
landing pages; `web_slides.json`, five for slides and data visualisation; method.md § 2.8). Out: `Rubric`.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct, field

from katcore.errors import RecordError
from katcore.records import Task

TOP = 5
"""The best score; 0 is the worst."""

Part = Literal["answer", "patch", "actions"]


class Dimension(Struct, kw_only=True):
    """One quality that is scored from 0 to TOP. `anchors`: what a score means, by its digit; not each needs one."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z][\w -]{0,60}$")]
    question: str = ""
    weight: Annotated[float, Meta(ge=0, le=1e9)] = 1.0
    anchors: dict[str, str] = {}


class Rubric(Struct, kw_only=True):
    """What a judge is asked. `judged`: which parts of an attempt it sees; `passes`: the least reward that passes."""

    dimensions: list[Dimension]
    judged: list[Part] = field(default_factory=lambda: ["answer", "patch"])
    passes: Annotated[float, Meta(gt=0, le=1)] = 0.6


def rubric_of(task: Task) -> Rubric:
    """The task's rubric. RecordError where it is missing or malformed."""
    return _checked(task.verification.rubric or {})


def shipped(name: Literal["web_page", "web_slides"]) -> Rubric:
    """A rubric that comes with KAT."""
    return _checked(msgspec.json.decode(files("katcore.verify").joinpath(f"{name}.json").read_bytes()))


def _checked(given: object) -> Rubric:
    try:
        rubric = msgspec.convert(given, Rubric)
    except msgspec.ValidationError as error:
        raise RecordError("task", f"rubric: {error}") from error
    names = [dimension.name for dimension in rubric.dimensions]
    if not names or len(set(names)) < len(names) or not sum(d.weight for d in rubric.dimensions) > 0:
        raise RecordError("task", "rubric: needs dimensions of different names, and a weight that is not 0")
    for dimension in rubric.dimensions:
        if not set(dimension.anchors) <= set("012345"):
            raise RecordError("task", f"rubric: {dimension.name}: anchors go from 0 to {TOP}")
    return rubric
