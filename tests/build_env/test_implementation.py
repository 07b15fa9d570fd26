"""Which sentences tell how a change was made: those that no instruction may have."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcore.build_env.implementation import Solution, names_below
from tests.support.messages import SOURCE, change


@pytest.fixture
def solution() -> Solution:
    return Solution(change(""), lambda names: {"CartError"} & set(names))


@pytest.mark.parametrize(
    "sentence",
    [
        "Look users up with lookup_by_owner.",
        "`lookup_by_owner` finds the cart.",
        "- `shop.cart.lookup_by_owner()` is the single source of truth",
        "Add `_fresh_cart` for users without one.",
        "Carts come from `found or _fresh_cart(user, limit=MOST)`.",
        "Use `if not user.strip()` for that.",
        "Add the new user to _CARTS.",
        "Update the lookup in cart.py",
        "Refactor carts",
        "cart: clean up the handling of users",
        "Flatten merge_carts and cart_of into one",
        "Simplify `cart_of`",
        "Move MOST out of the class",
        "Replace _CARTS with a mapping of users",
        "Use `MOST` instead of a number",
        "Split cart_of and MOST into two modules",
        "Merge the lookup into a helper function",
        "Remove duplicated logic of carts",
        "Fix by looking the user up.",
        "The search is done in the first loop.",
        "The fix is to compare owners.",
        "This commit moves the search.",
    ],
)
def test_the_implementation_is_told(solution: Solution, sentence: str) -> None:
    assert solution.told_by(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Two users had one cart.",
        "cart_of gave the first cart of all to everybody.",
        "Add merge_carts.",
        "`cart_of(user)` gives each user a cart.",
        "Raise CartError for a user without a name.",
        "Raise `ValueError` and return `None`.",
        "`_CARTS` was read whoever asked.",
        "Move merge_carts into the shop's top",
        "Users move from one shop to the other",
        "Replace the cart with an empty one when its user leaves",
        "Split texts at spaces",
        "Extract archives only below the folder",
        "Support `len()` and `__len__` of carts",
        "Carts are handled by their users.",
        "`merge_carts` of nothing is nothing.",
        "What is merged is a `list`.",
        '`merge_carts([ cart_of("ann") ])` holds.',
    ],
)
def test_the_need_is_told(solution: Solution, sentence: str) -> None:
    assert not solution.told_by(sentence)


def test_a_sentence_that_asks_for_something_new_may_name_what_is_public(solution: Solution) -> None:
    assert not solution.told_by("Add `lookup_by_owner` for users")
    assert solution.told_by("Add `_fresh_cart` for users")
    assert solution.told_by("Carts come from `lookup_by_owner`")


def test_a_title_may_say_where_something_is_wrong(solution: Solution) -> None:
    sentence = "Fix the first cart of _CARTS"
    assert solution.told_by(sentence) and not solution.told_by(sentence, title=True)


def test_what_the_repository_had_before_is_not_the_solution_s() -> None:
    sentence = "The name `lookup_by_owner` is wrong."
    assert Solution(change("")).told_by(sentence)
    assert not Solution(change(""), lambda names: names).told_by(sentence)


def test_what_documents_name_is_public() -> None:
    news = (
        "diff --git a/CHANGES.md b/CHANGES.md\n--- a/CHANGES.md\n+++ b/CHANGES.md\n@@ -0,0 +1 @@\n+- lookup_by_owner\n"
    )
    assert not Solution(change("", SOURCE + news)).told_by("Users are found by `lookup_by_owner`.")


def test_code_that_the_solution_has_and_nothing_else(solution: Solution) -> None:
    assert solution.tells_code(["x = 1", "    if not user.strip():"])
    assert not solution.tells_code(
        ['    assert cart_of("ann") is not cart_of("bob")', "    return _CARTS[0]", "MOST = 9"]
    )


def test_names_of_code_files(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"def cart_of(): return caf\xe9\n")
    (tmp_path / "b.md").write_text("lookup_by_owner\n")
    (tmp_path / "c.py").symlink_to("/nonexistent")
    assert names_below(tmp_path, {"cart_of", "lookup_by_owner", "cart"}) == {"cart_of"}
