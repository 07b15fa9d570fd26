"""Responses that keep to a constraint by characters that nobody sees, or that look like others; or that say nothing."""

from __future__ import annotations

from typing import Any

import pytest

from katcore.verify.constraints import INSTRUCTIONS, broken
from katcore.verify.visible import visible

FORBIDDEN = {"forbidden_words": ["secret"]}
HIDES = {
    "zero width": "se\u200bcret", "soft hyphen": "sec\u00adret", "joiner": "s\u034fecret", "tag": "secr\U000e0041et",
    "selector": "se\ufe0fcret", "filler": "sec\u3164ret", "bidi": "\u202esecr\u202cet", "control": "se\x00cret",
    "word joiner": "secre\u2060t", "byte order": "s\ufeffecret", "musical": "se\U0001d173cret",
    "full width": "\uff53\uff45\uff43\uff52\uff45\uff54",
    "mathematical": "\U0001d42c\U0001d41e\U0001d41c\U0001d42b\U0001d41e\U0001d42d",
    "circled": "\u24e2\u24d4\u24d2\u24e1\u24d4\u24e3", "small capitals": "\ua731\u1d07\u1d04\u0280\u1d07\u1d1b",
    "Cyrillic": "s\u0435cret", "all Cyrillic but one": "\u0455\u0435\u0441r\u0435t", "Greek": "secre\u03c4",
    "struck": "s\u0336e\u0336c\u0336r\u0336e\u0336t\u0336",
    "discs": "\U0001f182\U0001f174\U0001f172\U0001f181\U0001f174\U0001f183",
}  # fmt: skip


@pytest.mark.parametrize("word", HIDES.values(), ids=HIDES)
def test_a_forbidden_word_that_can_be_read(word: str) -> None:
    text = f"This is the {word} of the house and it was not for you."
    assert "secret" not in text, "as it is written the rule does not find it"
    assert broken("keywords:forbidden_words", FORBIDDEN, text)
    assert visible(visible(text)) == visible(text)


def test_words_of_other_alphabets_are_what_they_are() -> None:
    for text in (
        "\u041e\u043d \u0432\u0438\u0434\u0438\u0442 \u0441\u043e\u0440 \u0438 \u0440\u043e\u0432",
        "\u03c4\u03bf \u03c3\u03c0\u03af\u03c4\u03b9",
        "r\u00e9sum\u00e9 na\u00efve \u0111\u1ec3",
        "\u732b\u5728\u623f\u5b50\u91cc",
    ):
        assert visible(text) == text


def test_other_constraints_read_the_same_text() -> None:
    assert broken("punctuation:no_comma", {}, "one\uff0c two")
    fewer = {"letter": "e", "let_frequency": 1, "let_relation": "less than"}
    assert broken("keywords:letter_frequency", fewer, "th\u0435 r\u0435st")
    words = {"num_words": 4, "relation": "at least"}
    assert broken("length_constraints:number_words", words, "one\u200btwo\u200bthree\u200bfour")
    few = {"keyword": "cat", "frequency": 1, "relation": "less than"}
    assert broken("keywords:frequency", few, "a c\u200dat")
    assert not broken("keywords:existence", {"keywords": ["\ufb01t"]}, "fit"), "arguments are read alike"


@pytest.mark.parametrize("name", sorted(INSTRUCTIONS))
def test_a_response_of_nothing_but_the_unseen(name: str) -> None:
    assert broken(name, {}, "\u200b\u2060\u00ad \u3164")


@pytest.mark.parametrize("text", ["1", "42", "...", "A", "a.", "aaa aaa", "\u732b", "\U0001f600", "= 1 + 2", "\u200bx"])
@pytest.mark.parametrize("language", ["en", "de", "hi", "zh", "ko", "ru"])
def test_what_has_no_language_is_in_none(text: str, language: str) -> None:
    assert broken("language:response_language", {"language": language}, text)


@pytest.mark.parametrize("given", [("change_case:english_capital", "A 1"), ("change_case:english_lowercase", "a 1")])
def test_a_letter_is_no_english(given: tuple[str, str]) -> None:
    arguments: dict[str, Any] = {}
    assert broken(given[0], arguments, given[1])
