"""Work that makes its judge fail, so that it is masked instead of scored. A scripted endpoint stands for the model."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from katcore.errors import EngineError
from katcore.llm import Budget, Client
from katcore.records import Verdict
from katcore.verify.blank_image import white_like
from katcore.verify.grader import masked
from katcore.verify.judge import Judge
from katcore.verify.rubric import Dimension, Rubric
from tests.support.scripted_endpoint import Answer, endpoint, honest, text_of

RUBRIC = Rubric(dimensions=[Dimension(name="correct"), Dimension(name="clear")])
TRIGGER = "boom"
GOOD = honest(lambda name, work: 4)


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAT_CACHE", str(tmp_path))


def judged(answer: Answer, work: str = f"x {TRIGGER} y", budget: int = 0, images: Any = ()) -> tuple[Verdict, int]:
    with endpoint(answer) as server:
        client = Client(server.url, "m", first_pause_s=0.01, attempts=2, budget=Budget(calls=budget))
        found = Judge((client,)).judged("Write a short essay.", work, RUBRIC, images)
        return found, len(server.requests)


def or_masked(work: Callable[[], Verdict]) -> Verdict:
    """The verdict as the verifier makes it: an endpoint that answers nobody masks."""
    try:
        return work()
    except EngineError as error:
        return masked(f"judge: {error}")


def when_triggered(bad: Callable[[dict[str, Any]], Any]) -> Answer:
    return lambda body: bad(body) if TRIGGER in text_of(body) else GOOD(body)


def other_dimensions(body: dict[str, Any]) -> str:
    given = json.loads(str(GOOD(body)))
    given["scores"]["more"] = given["scores"].pop("clear")
    return json.dumps(given)


WAYS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "a refusal": lambda body: "I cannot judge this.",
    "nothing": lambda body: "",
    "no JSON": lambda body: "{'scores': 5}",
    "scores of its own": other_dimensions,
    "an answer as the work has it": lambda body: '{"canary": "x", "scores": {}}',
    "beyond the scale": lambda body: str(GOOD(body)).replace('"score": 4', '"score": 6'),
    "a content filter": lambda body: (400, '{"error": "content_filter"}'),
    "too long": lambda body: (413, "too large"),
    "a crash": lambda body: (500, "internal error"),
    "an end without a word": lambda body: None,
    "another shape": lambda body: {"object": "error"},
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_it_is_not_masked(way: Callable[[dict[str, Any]], Any]) -> None:
    found, _ = judged(when_triggered(way))
    assert (found.reward, found.passed, found.masked) == (0.0, False, False), found.reason
    assert found.reason.endswith("on a neutral work they do") and found.flags
    assert judged(when_triggered(way), "An essay.")[0].reward == 0.8, "other work has its votes"


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_judge_that_fails_at_everything_masks(way: Callable[[dict[str, Any]], Any]) -> None:
    found = or_masked(lambda: judged(way)[0])
    assert (found.reward, found.masked) == (0.0, True) and found.reason.startswith("judge: ")


def test_a_judge_that_fails_in_the_second_view_alone() -> None:
    def answer(body: dict[str, Any]) -> Any:
        return "no" if "have numbers" in text_of(body) and "plain" not in text_of(body) else GOOD(body)

    found, _ = judged(answer, "An essay.")
    assert (found.reward, found.masked) == (0.0, False)


def test_an_answer_from_the_cache_proves_nothing() -> None:
    """The neutral work was judged before; now nobody answers."""
    down = False

    def answer(body: dict[str, Any]) -> Any:
        return (503, "away") if down else when_triggered(lambda _: "no")(body)

    with endpoint(answer) as server:
        judge = Judge((Client(server.url, "m", first_pause_s=0.01, attempts=2),))
        assert not judge.judged("Write.", f"{TRIGGER} 1", RUBRIC).masked
        down = True
        found = or_masked(lambda: judge.judged("Write.", f"{TRIGGER} 2", RUBRIC))
    assert found.masked


def test_answers_of_a_time_when_nothing_had_votes_are_asked_for_again() -> None:
    broken = True

    with endpoint(lambda body: "no" if broken else GOOD(body)) as server:
        judge = Judge((Client(server.url, "m", first_pause_s=0.01, attempts=2),))
        assert judge.judged("Write.", "An essay.", RUBRIC).masked
        broken = False
        assert judge.judged("Write.", "An essay.", RUBRIC).reward == 0.8


def test_calls_that_are_used_up_mask() -> None:
    found = or_masked(lambda: judged(when_triggered(lambda _: "no"), budget=4)[0])
    assert found.masked and found.reason == "judge: 4 model calls are used up"


def test_images_that_a_judge_takes_are_no_excuse() -> None:
    """The control has images as large: a judge that takes none of that size fails it too."""
    url = "data:image/png;base64," + base64.b64encode(white_like(b"")).decode()
    images = [{"type": "text", "text": "Screenshot:"}, {"type": "image_url", "image_url": {"url": url}}]

    def blind(body: dict[str, Any]) -> Any:
        seen = any(part["type"] == "image_url" for part in body["messages"][1]["content"])
        return (400, "no images here") if seen else GOOD(body)

    assert or_masked(lambda: judged(blind, images=images)[0]).masked
    assert not judged(when_triggered(lambda _: (400, "filtered")), images=images)[0].masked


def test_work_that_shows_nothing_is_no_work() -> None:
    found, asked = judged(GOOD, "\u200b\u2060 \U000e0047\U000e0049")
    assert (found.reward, found.reason, asked) == (0.0, "no work to judge", 0)


@pytest.mark.parametrize(
    "text", ["\ud800", "a\udfffb", "\x00", "\u202e", "\U000e0001" * 10, '"' * 1000, "\\" * 1000], ids=ascii
)
def test_no_character_keeps_work_from_its_judge(text: str) -> None:
    assert judged(GOOD, f"An essay. {text}")[0].reward == 0.8
