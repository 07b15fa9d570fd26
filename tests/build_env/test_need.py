"""Whether a text could stand over any change."""

from __future__ import annotations

import pytest

from katcore.build_env.need import Need, Told
from tests.support.messages import change


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("wip, more work", Told(0, 0, 0)),
        ("Update docs/init.md, shop/cart.py and setup.cfg (#3)", Told(0, 0, 0)),
        ("see https://forge.example/carts/users", Told(0, 0, 0)),
        ("Carts of the shop", Told(1, 1, 1)),
        ("Keep users' carts", Told(3, 3, 3)),
        ("cart_of", Told(1, 1, 1)),
        ("lookupByOwner", Told(2, 2, 1)),
        ("Great galaxies collide", Told(3, 0, 3)),
        ("x" * 300, Told(0, 0, 0)),
    ],
)
def test_what_says_something(text: str, told: Told) -> None:
    assert Need(change("")).told_by(text) == told


def test_words_of_the_trade_say_something_where_a_project_is_about_them() -> None:
    def patched(name: str, line: str) -> str:
        return f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -0,0 +1 @@\n+{line}\n"

    source, tests = patched("a.py", "def parse_version(text):"), patched("tests/test_a.py", "parse_version('1.2')")
    assert Need(change("", source, tests)).told_by("Parse versions") == Told(2, 2, 2)
    assert Need(change("", source, patched("tests/test_a.py", "parse('1.2')"))).told_by("Parse versions") == Told(
        1, 1, 1
    )
    assert Need(change("", patched("a.md", "version"), tests)).told_by("Bump version") == Told(0, 0, 0)


@pytest.mark.parametrize(
    ("told", "enough"),
    [
        (Told(2, 2, 2), True), (Told(2, 1, 2), False), (Told(3, 2, 3), True), (Told(3, 1, 3), False),
        (Told(4, 1, 4), True), (Told(9, 0, 9), False), (Told(4, 4, 1), False), (Told(1, 1, 1), False),
        (Told(1, 1, 2), False), (Told(0, 0, 0), False),
    ],
)  # fmt: skip
def test_enough(told: Told, enough: bool) -> None:
    assert told.enough is enough
