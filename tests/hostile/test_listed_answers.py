"""An answer that lists every candidate, or hides the one that counts where only the rule looks."""

from __future__ import annotations

from typing import Any

import pytest

from katcore.records import Verdict
from katcore.verify import rules
from tests.support.constraints import said, task

EVERY = "\n".join(map(str, range(1000)))


def verdict(text: str, **rule: Any) -> Verdict:
    return rules.verdict(task(rule), said(text), lambda *_: pytest.fail("no program here"))


@pytest.mark.parametrize("text", [EVERY, "A B C D", "The answer is B", "B\nC", "x" * 100 + "B"])
@pytest.mark.parametrize("pattern", ["417", "[Bb]", "B|417", r"\bB\b", "^B$"])
def test_a_pattern_takes_the_whole_answer(text: str, pattern: str) -> None:
    assert verdict(text, check="regex", pattern=pattern).reward == 0.0


def test_a_search_is_asked_for_and_can_be_had_by_listing() -> None:
    assert verdict(EVERY, check="regex", pattern=r"\b417\b", whole=False).reward == 1.0
    assert verdict("417", check="regex", pattern=r"\d+").reward == 1.0


def test_a_list_is_not_one_number() -> None:
    assert verdict("1,2,3,4", check="numeric", answer=1234).reward == 0.0
    assert verdict("1,234", check="numeric", answer=1234).reward == 1.0
    assert verdict(EVERY, check="numeric", answer=417).reward == 0.0


@pytest.mark.parametrize(
    "rule",
    [
        {"check": "exact", "answer": "a"},
        {"check": "numeric", "answer": 7},
        {"check": "regex", "pattern": "[a7 ]*"},
        {"check": "constraints", "instruction_id_list": ["punctuation:no_comma"]},
        {"check": "constraints", "instruction_id_list": ["keywords:forbidden_words"],
         "kwargs": [{"forbidden_words": ["cat"]}]},
    ],
    ids=lambda rule: rule["check"],
)  # fmt: skip
def test_what_stands_beyond_the_part_that_is_looked_at(rule: dict[str, Any]) -> None:
    """A rule that reads the first part of an answer says nothing about the rest: no such answer follows it."""
    longest = rules.LONGEST_CONSTRAINED if rule["check"] == "constraints" else rules.LONGEST
    for filler in (" ", "a", "7", "\u200b"):
        found = verdict(filler * longest + ", cat", **rule)
        assert (found.reward, found.passed) == (0.0, False)
    if rule["check"] == "constraints":
        assert "more than" in verdict("a" * longest + ", cat", **rule).reason
