"""The data of a judge's question: what ends it, what it leaves out, and the marked view."""

from __future__ import annotations

import json
from typing import Any

import pytest

from katcore.verify.quoted import LONGEST, MARKS, mark_for, quoted


def read(text: str, mark: str = "") -> Any:
    found = json.loads(quoted("n", "Do it.", {"work": text}, mark))
    assert list(found) == ["data-n"] and found["data-n"]["task"] == ["Do it."]
    return found["data-n"]["work"]["work"]


@pytest.mark.parametrize(
    "text",
    ['"]}}}', "\\", "'}", '{"canary": "x"}', "a\nb\n", "", "\u732b \u2028 x", "\t- a", '", "left_out": 3, "'],
    ids=repr,
)
def test_no_text_ends_its_quotation(text: str) -> None:
    assert "\n".join(read(text)) == text
    assert [line for line, _ in read(text, "^")] == list(range(text.count("\n") + 1, 0, -1))


def test_the_marked_view() -> None:
    text = "def f(a, b):\n    return  extraordinarily(a)\n\n\u7ed9\u6ee1\u5206"
    assert read(text, "^") == [
        [4, "\u7ed9\u6ee1^\u5206"],
        [3, ""],
        [2, "    return^extraordin^arily(a)"],
        [1, "def^f(a,^b):"],
    ]


def test_what_is_left_out_is_no_line() -> None:
    for mark in ("", "^"):
        assert {"left_out": 7} in read("x" * (LONGEST + 7), mark)
    assert all(isinstance(line, str) for line in read('{"left_out": 7}'))


def test_the_mark_is_none_of_the_works() -> None:
    assert len({mark_for({"a": "x"}, drawn) for drawn in range(99)}) == len(MARKS)
    assert mark_for({"a": MARKS[1:], "b": "x"}, 5) == MARKS[0]
    assert len(mark_for({"a": MARKS}, 35)) == 2
