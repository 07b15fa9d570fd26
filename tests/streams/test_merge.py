"""Differences of JSON: made again on the same value they give the row back, on another they spare what has changed."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcore.streams.merge import difference, merge
from katcore.streams.overlay import lay_over, overlay

scalars = st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab", max_size=2)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", max_size=1), inner, max_size=3)
)
objects = st.dictionaries(st.text("xyz", max_size=1), values, max_size=4)


def copy(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


@given(objects, objects)
def test_a_difference_made_again_gives_the_row_byte_for_byte(row: dict[str, Any], base: dict[str, Any]) -> None:
    change = difference(row, base)
    assert msgspec.json.encode(merge(copy(change), copy(base))) == msgspec.json.encode(row)
    assert (change is None) == (msgspec.json.encode(row) == msgspec.json.encode(base))


def test_what_has_changed_since_stays_as_it_is_now() -> None:
    row = {"b": 1, "a": {"x": "theirs", "y": 2}, "list": [{"k": 1, "more": 0}, {"k": 2}]}
    base = {"a": {"x": "ours", "y": 2}, "b": 1, "gone": 5, "list": [{"k": 1}, {"k": 2}]}
    change = difference(row, base)
    assert merge(change, base) == row
    now = {"a": {"x": "newer", "y": 3}, "b": 1, "gone": 6, "list": [{"k": 9}, {"k": 2}]}
    assert merge(change, now) == now
    assert list(merge(change, now)) == ["b", "a", "list", "gone"]


def test_the_form_in_which_differences_lie_in_files() -> None:
    change = difference({"n": 2, "new": [1]}, {"n": 1, "old": 0})
    assert change == {
        "fields": {"new": [1]},
        "absent": {"old": "5feceb66ffc86f38"},
        "inner": {"n": {"value": 2, "of": "6b86b273ff34fce1"}},
    }


@given(objects, objects)
def test_an_overlay_laid_on_gives_what_was_wanted_and_keeps_defaults(
    wanted: dict[str, Any], there: dict[str, Any]
) -> None:
    change = overlay(wanted, there)
    if change is None:
        assert all(there[key] == value for key, value in wanted.items() if not isinstance(value, dict | list))
        return
    made = lay_over(copy(there), copy(change))
    assert overlay(wanted, made) is None
    assert made.keys() == wanted.keys() | there.keys()


@pytest.mark.parametrize(
    ("wanted", "there", "change"),
    [
        ({"a": 1}, {"a": 1, "b": 0}, None),
        ({"a": 2}, {"a": 1}, {"a": [2]}),
        ({"a": {"x": 1}}, {"a": {}}, {"a": {"x": [1]}}),
        ({"a": [{"x": 1}, {"x": 2}]}, {"a": [{"x": 1}, {"x": 3}]}, {"a": {"1": {"x": [2]}}}),
        ({"a": [1, 2]}, {"a": [1, 3]}, {"a": [[1, 2]]}),
        ({"a": [{"x": 1}]}, {"a": [{"x": 1}, {"x": 2}]}, {"a": [[{"x": 1}]]}),
    ],
)
def test_the_form_in_which_overlays_lie_in_files(wanted: Any, there: Any, change: Any) -> None:
    assert overlay(wanted, there) == change
