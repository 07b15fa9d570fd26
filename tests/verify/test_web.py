"""Pages in a real Chromium inside a real box: what is seen, what is clicked, what a judge gets."""

from __future__ import annotations

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from katcore.llm import Client
from katcore.records import Task, TaskSource, Verdict, Verification
from katcore.verify.grader import Grader
from katcore.verify.judge import Judge
from katcore.verify.verifier import Verifier
from tests.support.grading import archive, patch, trajectory
from tests.support.scripted_endpoint import endpoint, honest

pytestmark = pytest.mark.slow

BASE = {"README": "make a page\n"}
GOOD = """<!doctype html><title>Tea</title><link rel="icon" href="data:,">
<style>body { margin: 0; font: 20px sans-serif } section { height: 1500px }</style>
<h1>Tea</h1><button onclick="document.body.style.background = 'rgb(200, 0, 0)'">Order</button><section></section>
"""
BAD = """<!doctype html><title>Tea</title><link rel="stylesheet" href="gone.css"><img src="gone.png">
<button onclick="nothing()">Order</button><script>console.error("no tea"); missing()</script>
"""


def task(**rubric: Any) -> Task:
    looks = {"screens": 2, "hovers": 1, "clicks": 1}
    return Task(
        instance_id="w", repo="w", base_commit="0" * 40, created_at="2025-01-01T00:00:00Z",
        problem_statement="A page about tea.", source=TaskSource(kind="inline", url=archive(BASE)),
        verification=Verification(kind="web", rubric={**looks, **rubric}),
    )  # fmt: skip


def verdict(html: str, judge: Judge | None = None, **rubric: Any) -> Verdict:
    change = patch({**BASE, "index.html": html}, BASE)
    return Verifier(Grader(), judge).verdict(trajectory(change), task(**rubric))


def test_a_faithful_page_without_a_judge() -> None:
    found = verdict(GOOD)
    assert not found.masked, found.reason
    assert (found.reward, found.passed, found.evidence["problems"]) == (1.0, True, [])
    assert (
        found.evidence["clicked"] == found.evidence["hovered"] == ["Order"] and found.evidence["page"]["height"] > 1500
    )


def test_errors_and_missing_files_cost() -> None:
    found = verdict(BAD)
    problems = "\n".join(found.evidence["problems"])
    assert not found.passed and found.reward == pytest.approx(1 - 0.1 * len(found.evidence["problems"]))
    for sign in ("console: no tea", "missing is not defined", "nothing is not defined", "404 gone.css", "404 gone.png"):
        assert sign in problems, problems


def test_no_page_and_no_change() -> None:
    assert verdict(GOOD, page="other.html").reason == "there is no other.html"
    assert Verifier().verdict(trajectory(""), task()).reason == "no change"


def test_a_judge_gets_the_screenshots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with endpoint(honest(lambda name, work: 4)) as server:
        judge = Judge((Client(server.url, "m", reuse=False),), votes=1)
        found = verdict(GOOD, judge)
        asked = server.requests[0]
    assert (found.reward, found.passed, len(found.parts["scores"])) == (0.8, True, 10)
    parts = [part for part in asked["messages"][1]["content"] if part["type"] == "image_url"]
    pictures = [base64.b64decode(part["image_url"]["url"].partition(",")[2]) for part in parts]
    assert len(pictures) == 4 and {struct.unpack(">II", png[16:24]) for png in pictures} == {(1920, 1080)}
    assert len({*pictures}) >= 3, "the scrolled and the clicked screen look different"
    assert "A page about tea." in json.dumps(asked)
