"""Instructions are made of what tells a need; what tells none, or the implementation alone, becomes no task."""

from __future__ import annotations

import random
from collections.abc import Collection

import pytest

from katcore.build_env.instruction import problem_statement
from katcore.errors import Rejected
from katcore.records import Change, Issue
from tests.support.messages import change


def said(made: Change | str, base: Collection[str] = ()) -> str:
    """The statement's own text, empty where it is turned away."""
    try:
        text = problem_statement(change(made) if isinstance(made, str) else made, lambda names: set(base) & set(names))
    except Rejected as turned_away:
        assert (turned_away.stage, turned_away.reason) == ("statement", "statement_too_thin")
        return ""
    before, _, after = text.partition("is true of it.\n\n")
    assert "`ann/shop`" in before
    return after.partition("\n\nChange the implementation")[0]


UPDATES = "Update docs/init.md\n\n" * 5 + "Co-authored-by: Bob <bob@example.org>\n"


@pytest.mark.parametrize(
    "message",
    [
        "", "Merge branch 'stable'", "Merge pull request #7 from ann/carts", UPDATES, "Carts\n\n" + UPDATES,
        "* ".join(["Carts (#3)\n\n", *["Update docs/init.md\n\n"] * 5]), "wip", "oops", "Bump version", "Release 2.6",
        "shop 2.6.1", "v2.6 (2025-01-01)", "Fixes #12", "#12", "fix tests", "Fix typo", "Address review comments (#12)",
        "update uv.lock", "ci: keep carts of users apart", "chore(deps): carts of users", "tests: users keep carts",
        "Add tests for users who keep their carts apart", "refactor: keep carts of users apart", "Refactor carts",
        "Flatten cart_of and merge_carts into single carts", "lookup_by_owner", "Make shop great again",
    ],
)  # fmt: skip
def test_what_tells_no_need_is_turned_away(message: str) -> None:
    assert said(message) == ""


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("fix: keep carts of users apart (#12)", "keep carts of users apart"),
        ("Merge pull request #7 from ann/carts\n\nKeep carts of users apart (#8)", "Keep carts of users apart"),
        ("Carts\n\nUsers keep theirs apart.", "Carts\n\nUsers keep theirs apart."),
        ("refactor: carts\n\nUsers keep their carts apart.", "Users keep their carts apart."),
        ("Refactor carts\n\nUsers keep their carts apart.", "Users keep their carts apart."),
        ("Bugfix (#3)\n\n* users keep carts apart\n\n* wip\n\n* fix tests", "Bugfix\n\n- users keep carts apart"),
        ("Users keep carts apart (#3)\n\n* first try\n\n* lookup of owner and user", "Users keep carts apart"),
        ("shop 2.6\n\nv2.6 (2025-01-01)\n====\n\n- Users keep carts apart.\n- More docs.", "- Users keep carts apart."),
    ],
)
def test_what_tells_a_need_becomes_the_instruction(message: str, text: str) -> None:
    assert said(message) == text


def test_sentences_that_tell_the_implementation_are_dropped_and_told() -> None:
    message = """Keep carts of users apart

Two users had one cart. This is done in `lookup_by_owner`. Nobody
could pay.

Changes:

- Add _fresh_cart
- Update the search in cart.py

Usage:

    cart_of("ann")

    raise CartError("a cart has a user")
"""
    kept = "Two users had one cart. Nobody could pay."
    assert said(message) == f'Keep carts of users apart\n\n{kept}\n\nUsage:\n\n    cart_of("ann")'
    with pytest.raises(Rejected) as caught:
        problem_statement(change("Refactor carts\n\nUse lookup_by_owner for users."))
    assert caught.value.evidence == {
        "kind": "", "left": "", "dropped": ["Refactor carts", "Use lookup_by_owner for users."],
        "words": 0, "in_patches": 0,
    }  # fmt: skip


def test_issues_come_first_and_are_enough() -> None:
    made = change("Merge branch 'carts'")
    made.issues = [Issue(number=3, title="Two users, one cart", body="I see Bob's things.\n\nSigned-off-by: Ann\n")]
    assert said(made) == "Two users, one cart\n\nI see Bob's things."
    made.title = "Keep carts of users apart"
    assert said(made) == "Two users, one cart\n\nI see Bob's things.\n\nKeep carts of users apart"


def test_no_message_takes_for_ever_to_read() -> None:
    """Where an expression tries too much, this does not end."""
    pieces = ["a", "http://a", "a-", "`", "_a", "a.", "#1 ", "(#1)", "use ", "a/", "* x\n\n", "- x\n", "[", " ", "A. ",
              "merge ", "```\n", "aA", "\n", "fixes ", "0123456789", "--", "\t"]  # fmt: skip
    for piece in pieces:
        line = (piece * 50_000).partition("\n")[0]
        assert said(change(f"{line[:50_000]}\n{(piece * 50_000)[:50_000]}")) == ""
    chance = random.Random(0)
    for _ in range(9):
        said(change("".join(chance.choices(pieces, k=20_000))))
