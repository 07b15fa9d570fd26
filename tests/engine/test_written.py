from __future__ import annotations

import json

import orjson
import pytest

from katcore.engine.written import WrittenIds


@pytest.mark.parametrize("parts", [[[]], [[1, 2]], [[], [3]], [[1], [], [2, 300000]], [[7], [8], [9, 10]]])
def test_what_is_written_is_what_there_is(parts: list[list[int]]) -> None:
    ids = WrittenIds()
    for part in parts:
        ids = ids.then(part)
    whole = [token for part in parts for token in part]
    assert ids == whole and json.loads(orjson.dumps({"ids": ids.json}))["ids"] == whole


def test_what_goes_on_leaves_the_first_as_it_was() -> None:
    first = WrittenIds([1, 2])
    assert first.then([3]).text == b"1,2,3" and first == [1, 2] and first.text == b"1,2"
