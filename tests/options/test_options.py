"""Structs of options: what they flatten to, what is built from flat values, and what does not fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import NODEFAULT, field

from katcore.errors import UsageError
from katcore.options import Options, build, flat, opt, options_of


class Sampling(Options, frozen=True):
    """A group."""

    temperature: Annotated[float, opt("How hot.", ge=0)] = 1.0
    top_k: Annotated[int, opt("How many.", metavar="N", ge=-1)] = -1


class Caps(Options, frozen=True):
    """Another, whose default the command changes."""

    max_turns: Annotated[int, opt("How long.", ge=1, le=99)] = 50


class Command(Options, frozen=True):
    """What a command is told."""

    goal: Annotated[Literal["a", "b"], opt("What for.")] = field(name="for")
    model: Annotated[Path | None, opt("Which.", metavar="DIR", short="-m")] = None
    sampling: Sampling = Sampling()
    caps: Caps = Caps(max_turns=7)
    more: Annotated[tuple[Path, ...], opt("Others.")] = ()
    most: Annotated[int | None, opt("At most.", ge=0)] = None
    sure: Annotated[bool, opt("Really.")] = True
    ratio: Annotated[float, opt("At most, or no limit.", ge=0, infinite=True)] = 5.0


def test_groups_lie_flat_in_their_place() -> None:
    options = options_of(Command)
    assert [o.key for o in options] == [
        "for", "model", "temperature", "top-k", "max-turns", "more", "most", "sure", "ratio",
    ]  # fmt: skip
    assert [o.path for o in options][:4] == [
        ("goal",), ("model",), ("sampling", "temperature"), ("sampling", "top_k")
    ]  # fmt: skip
    defaults = {o.key: o.default for o in options}
    assert defaults["for"] is NODEFAULT and defaults["max-turns"] == 7, "the command's default, not the group's"
    assert options[0].choices == ("a", "b") and options[5].repeats and (options[1].short, options[4].le) == ("-m", 99)


def test_flat_values_make_the_struct_and_come_back() -> None:
    values = {"for": "b", "model": "M", "temperature": 2, "more": ["x", Path("y")], "most": 3}
    made = build(Command, values)
    assert made == Command(
        goal="b", model=Path("M"), sampling=Sampling(temperature=2.0), caps=Caps(max_turns=7),
        more=(Path("x"), Path("y")), most=3,
    )  # fmt: skip
    assert build(Command, flat(made)) == made
    assert hash(made) == hash(build(Command, values)), "options name what is made once for them"
    other = build(Command, {"top-k": 5}, base=made)
    assert (other.sampling.top_k, other.sampling.temperature, other.goal) == (5, 2.0, "b")


def test_only_a_limit_that_says_so_is_infinite() -> None:
    assert build(Command, {"for": "a", "ratio": float("inf")}).ratio == float("inf")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "--for is missing"),
        ({"for": "c"}, "--for: invalid enum value 'c'"),
        ({"for": "a", "smaple": 1}, "--smaple: there is no such option"),
        ({"for": "a", "top-k": -2}, "--top-k: expected `int` >= -1, got -2"),
        ({"for": "a", "max-turns": 100}, "--max-turns: expected `int` <= 99, got 100"),
        ({"for": "a", "max-turns": True}, "--max-turns: expected `int`"),
        ({"for": "a", "most": -1}, "--most: expected `int` >= 0"),
        ({"for": "a", "most": 2.5}, "--most: expected"),
        ({"for": "a", "temperature": float("nan")}, "--temperature: nan is not a finite number"),
        ({"for": "a", "temperature": float("inf")}, "--temperature: inf is not a finite number"),
        ({"for": "a", "temperature": -0.5}, "--temperature: expected `float` >= 0"),
        ({"for": "a", "model": 3}, "--model: expected `Path`"),
        ({"for": "a", "more": ["x", 3]}, "--more: expected `Path`"),
        ({"for": "a", "sure": 1}, "--sure: expected `bool`"),
        ({"for": "a", "ratio": float("nan")}, "--ratio: nan is not a finite number"),
        ({"for": "a", "ratio": float("-inf")}, "--ratio: expected `float` >= 0"),
    ],
)
def test_what_does_not_fit_is_told_by_name(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as told:
        build(Command, values)
    assert str(told.value).startswith(message)
    with pytest.raises(UsageError, match=r"^RUN\.toml"):
        build(Command, values, lambda key: f"RUN.toml: {key}")
