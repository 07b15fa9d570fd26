"""Lists that begin as earlier ones did: read where they are new, and the very same objects where they are not."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest

from katcore.gateway.dialects import BadRequest, read_list
from katcore.gateway.memo import LISTS, Memo


class Reader:
    """Reads lists with one memo, and counts what was looked at."""

    def __init__(self) -> None:
        self.memo, self.seen = Memo(), 0

        def how(value: Any) -> Any:  # one function, by which the memo knows what was made
            self.seen += 1
            return {"kept": value}

        self._how = how

    def read(self, text: str) -> list[Any]:
        return read_list(msgspec.Raw(text.encode()), self.memo, self._how, "messages")


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_what_goes_on_is_read_where_it_is_new(reader: Reader) -> None:
    entries = [{"n": n, "text": "x" * 100} for n in range(6)]
    first = reader.read(json.dumps(entries[:4]))
    again = reader.read(json.dumps(entries))
    assert [one is other for one, other in zip(first, again)] == [True] * 4 and reader.seen == 6
    assert [each["kept"] for each in again] == entries
    first.append(1)
    assert len(reader.read(json.dumps(entries[:4]))) == 4, "nobody's changes reach it"


def test_of_a_list_that_parts_earlier_the_beginning_is_known(reader: Reader) -> None:
    entries: list[Any] = [{"n": n, "text": "x" * 100} for n in range(6)]
    reader.read(json.dumps(entries))
    changed = [*entries[:3], {"n": "other"}, *entries[4:]]
    assert [each["kept"] for each in reader.read(json.dumps(changed))] == changed
    assert [each["kept"] for each in reader.read(json.dumps(entries[:2]))] == entries[:2]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[1, 2]", "[1, 23]"),
        ("[1,2]", "[1,2.5]"),
        ("[true]", "[true ,1]"),
        ("[1]", "[1\n,\t2 ]"),
        ("[[1]]", "[[1],[1]]"),
    ],
)
def test_an_entry_ends_where_it_ends(reader: Reader, one: str, other: str) -> None:
    for text in (one, other, one):
        assert [each["kept"] for each in reader.read(text)] == json.loads(text)


@pytest.mark.parametrize("broken", ["[1,2,]", "[1,2 3]", "[1,2,,3]", "[1,2", '[1,2 "x"]', "[1,2]]", "[1,2}", "[1,2:3]"])
def test_what_is_no_json_is_none_though_its_beginning_is_known(reader: Reader, broken: str) -> None:
    reader.read("[1,2]")
    with pytest.raises(BadRequest, match="JSON"):
        reader.read(broken)


def test_an_empty_list_is_none(reader: Reader) -> None:
    for text in ("[]", "[ ]"):
        with pytest.raises(BadRequest, match="not empty"):
            reader.read(text)


def test_any_history_of_lists_is_read_right(reader: Reader) -> None:
    chance = random.Random(0)
    values: list[Any] = [0, 1, 12, -1.5, "", "a", "]", ",", [], {}, [1, [2]], {"a": "]"}, None, True, "é", "x" * 200]
    lists: list[list[Any]] = [[chance.choice(values)]]
    for _ in range(2000):
        given = list(chance.choice(lists[-6:]))
        if chance.random() < 0.3:
            given[chance.randrange(len(given))] = chance.choice(values)
        given += [chance.choice(values) for _ in range(chance.randrange(3))]
        given = given[-12:] if chance.random() < 0.1 else given[:40]
        lists.append(given)
        text = json.dumps(
            given, separators=chance.choice([(",", ":"), (", ", ": "), (" ,\n", ": ")]), ensure_ascii=False
        )
        assert [each["kept"] for each in reader.read(text)] == given
    assert len(reader.memo._lists) <= LISTS
