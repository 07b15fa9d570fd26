"""Rules without a box: answers, constraints by hand-made responses, languages."""

from __future__ import annotations

import time
from typing import Any

import pytest

from katcore.errors import RecordError
from katcore.verify import rules
from katcore.verify.answer import answer_of, code_of
from katcore.verify.constraints import INSTRUCTIONS, broken
from katcore.verify.counting import own_sentences
from katcore.verify.language import language_of
from tests.support.constraints import ENGLISH, FOLLOWED, said, task


def reward(text: str, *rule: dict[str, Any], answer: str | None = None) -> float:
    return rules.verdict(task(*rule, answer=answer), said(text), lambda *_: pytest.fail("no program here")).reward


@pytest.mark.parametrize(
    ("text", "rule", "right"),
    [
        ("  42 \n", {"check": "exact", "answer": "42"}, True),
        ("42.", {"check": "exact", "answer": "42"}, False),
        ("a \r\nb", {"check": "exact", "answer": "a\nb"}, True),
        ("a\fb", {"check": "exact", "answer": "a\nb"}, False),
        ("a\u2028b", {"check": "exact", "answer": "a\nb"}, False),
        ("Yes", {"check": "exact", "answer": "yes", "ignore_case": True}, True),
        ("so the total is 1,234.50 dollars", {"check": "numeric", "answer": 1234.5}, True),
        (r"first \boxed{7}, then 8", {"check": "numeric", "answer": 7}, True),
        ("about 3.1416", {"check": "numeric", "answer": 3.14159265, "rel": 1e-4}, True),
        ("about 3.2", {"check": "numeric", "answer": 3.14159265, "rel": 1e-4}, False),
        ("nothing", {"check": "numeric", "answer": 0}, False),
        ("-5e3", {"check": "numeric", "answer": -5000}, True),
        ("1, 2, 3", {"check": "numeric", "answer": 123}, False),
        ("\u22125", {"check": "numeric", "answer": -5}, True),
        ("42.0", {"check": "numeric", "answer": 42}, True),
        ("41.7", {"check": "numeric", "answer": 42, "abs": 0.5}, True),
        ("41.7", {"check": "numeric", "answer": 42, "rel": 1e-3}, False),
        (" ab-12\n", {"check": "regex", "pattern": r"[a-z]{2}-\d+"}, True),
        ("id: ab-12", {"check": "regex", "pattern": r"[a-z]{2}-\d+"}, False),
        ("id: ab-12", {"check": "regex", "pattern": r"[a-z]{2}-\d+", "whole": True}, False),
        ("id: ab-12", {"check": "regex", "pattern": r"[a-z]{2}-\d+", "whole": False}, True),
    ],
)
def test_answers(text: str, rule: dict[str, Any], right: bool) -> None:
    assert reward(text, rule) == float(right)


def test_what_was_seen_of_a_number() -> None:
    def seen(text: str) -> Any:
        found = rules.verdict(task({"check": "numeric", "answer": 1}), said(text), lambda *_: pytest.fail("none"))
        return found.evidence["rules"][0]["number"]

    assert [seen(text) for text in ("7", "1,000.5", "none", "1e999")] == [7, 1000.5, None, "1E+999"]
    assert seen("1" * 400) == "1" * 100


def test_the_answer_alone_is_an_exact_rule() -> None:
    assert reward("<think>41?</think>\n42", answer="42") == 1.0


def test_a_pattern_that_never_ends_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "REGEX_S", 0.5)
    started = time.monotonic()
    assert reward("a" * 40 + "!", {"check": "regex", "pattern": r"^(a+)+$"}) == 0.0
    assert time.monotonic() - started < 5


def test_rules_are_weighed_and_all_must_hold() -> None:
    found = rules.verdict(
        task({"check": "exact", "answer": "7", "weight": 3}, {"check": "regex", "pattern": "x"}),
        said("7"),
        lambda *_: None,
    )  # type: ignore[arg-type, return-value]
    assert (found.reward, found.passed, found.parts["rules"]) == (0.75, False, [1, 2])


@pytest.mark.parametrize(
    "rule",
    [
        {"check": "magic"},
        {"check": "exact"},
        {"check": "exact", "answer": "a", "weight": 0},
        {"check": "regex", "pattern": "("},
        {"check": "constraints", "instruction_id_list": ["no:such"]},
        {"check": "constraints", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}, {}]},
        {"check": "constraints", "instruction_id_list": ["keywords:existence"], "kwargs": [{"words": ["a"]}]},
    ],
)
def test_malformed_rules_are_dead_letters(rule: dict[str, Any]) -> None:
    with pytest.raises(RecordError, match="task"):
        reward("a", rule)


def test_the_last_block_of_code_in_the_language() -> None:
    text = "```python\nold\n```\ntext\n```python\nnew\n```\n```sh\nls\n```"
    assert code_of(text, "python") == "new\n" and code_of(text) == "ls\n" and code_of("plain") == "plain"


@pytest.mark.parametrize("odd", ["\f", "\x1c", "\u2028", "\x85", "\v"], ids=repr)
def test_only_newlines_end_the_lines_of_a_block(odd: str) -> None:
    code = f"s = '{odd}```{odd}'\nprint(s)\n"
    assert code_of(f"```python\n{code}```") == code


def test_an_artifact_comes_before_words() -> None:
    attempt = said("words")
    attempt.artifacts = {"answer": "file"}
    assert answer_of(attempt) == "file"


@pytest.mark.parametrize(
    ("name", "given", "good", "bad"), FOLLOWED, ids=[f"{i}-{f[0]}" for i, f in enumerate(FOLLOWED)]
)
def test_constraints(name: str, given: dict[str, Any], good: str, bad: str) -> None:
    assert not broken(name, {**given, "unused": None}, good)
    assert broken(name, given, bad) and broken(name, given, " ")


def test_all_25_published_instructions_are_there_and_tried() -> None:
    assert len(INSTRUCTIONS) == 25 and {name for name, *_ in FOLLOWED} == set(INSTRUCTIONS)


def test_each_violation_costs() -> None:
    rule = {"check": "constraints", "instruction_id_list": ["punctuation:no_comma", "startend:quotation",
            "detectable_format:title", "detectable_format:json_format"], "kwargs": [{}, {}, {}, {}]}  # fmt: skip
    assert reward('"no title"', rule) == 0.75, "quoted, a JSON string, no comma"
    assert reward("a, b", {**rule, "penalty": 0.2}) == pytest.approx(0.2)
    assert reward("a, b", {**rule, "penalty": 0.5}) == 0.0


def test_sentences() -> None:
    texts = ("One", "One. Two? Three!", "v1.2 is out", "e.g. this one.", 'He said "no." So')
    assert [own_sentences(text) for text in texts] == [1, 3, 1, 1, 2]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("en", ENGLISH),
        ("fr", "Le chat est dans la maison et il ne sort pas"),
        ("es", "El gato está en la casa y no sale"),
        ("pt", "O gato não está em casa e uma menina foi com ele"),
        ("it", "Il gatto è nella casa e non esce con gli altri"),
        ("ru", "Кошка сидит в доме и не выходит, она спит и видит сны"),
        ("uk", "Кішка сидить у домі і не виходить"),
        ("bg", "Котката е в къщата и не иска да излиза от нея"),
        ("ar", "القط في البيت ولا يخرج منه"),
        ("fa", "گربه در خانه است و بیرون نمی‌رود چون"),
        ("ur", "بلی گھر میں ہے اور باہر نہیں جاتی"),
        ("hi", "बिल्ली घर में है और बाहर नहीं जाती"),
        ("mr", "मांजर घरात आहे आणि ते बाहेर जात नाही"),
        ("ja", "猫は家の中にいます"),
        ("zh", "猫在房子里"),
        ("ko", "고양이는 집에 있다"),
        ("th", "แมวอยู่ในบ้าน"),
        ("ta", "பூனை வீட்டில்"),
        ("", "x = 1"),
    ],
)
def test_languages(code: str, text: str) -> None:
    assert language_of(text) == code


@pytest.mark.parametrize(
    "text",
    ["\n" * 400_000, "." * 400_000 + "x", "<<" * 200_000, "```a\n" * 100_000, " " * 400_000 + "x", "[" * 400_000],
)
def test_answers_made_to_take_for_ever_do_not(text: str) -> None:
    started = time.monotonic()
    code_of(text)
    names = [name for name, *_ in FOLLOWED]
    given = [kwargs for _, kwargs, *_ in FOLLOWED]
    reward(text, {"check": "constraints", "instruction_id_list": names, "kwargs": given})
    reward(text, {"check": "numeric", "answer": 1})
    assert time.monotonic() - started < 20
