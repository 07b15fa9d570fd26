"""What people wrote in a message, without what tools and habits add to it."""

from __future__ import annotations

import pytest

from katcore.build_env.message import only_references, shown, written
from tests.support.messages import change


def left(message: str) -> tuple[str, str, str]:
    """(type, title, body) of what is left of a message."""
    found = written(change(message))
    return found.kind, found.title, shown(found.body)


@pytest.mark.parametrize(
    "title",
    [
        "Merge branch 'stable'", "Merge branch 'main' into fix/carts", "Merge pull request #7 from ann/carts",
        "Merge remote-tracking branch 'upstream/stable' into merge-stable", "Merge stable into main (#31)",
        "Merge `stable` into `main` after the conversion of `CHANGES` (#35)", "Merge heads.", "merge", "Merge 2.1.x",
        "Merge tag 'v2'", "Merge commit from fork", "Merged upstream", "Merge branches 'a' and 'b'",
    ],
)  # fmt: skip
def test_a_merge_tells_what_the_pull_request_s_title_tells(title: str) -> None:
    assert left(title) == ("", "", "")
    assert left(f"{title}\n\nKeep carts apart (#8)\n") == ("", "Keep carts apart", "")
    prose = "Carts of two users\nwere one."
    assert left(f"{title}\n\n{prose}\n") == ("", "", prose)


@pytest.mark.parametrize("title", ["Merge overlapping ranges", "Merge headers of both requests", "Mergers keep carts"])
def test_what_begins_like_a_merge_and_is_none(title: str) -> None:
    assert left(title)[1] == title


@pytest.mark.parametrize(
    ("title", "kind", "rest"),
    [
        ("fix: keep carts apart (#12)", "fix", "keep carts apart"),
        ("feat(carts)!: keep them apart", "feat", "carts: keep them apart"),
        ("ENH: Keeps carts apart.", "enh", "Keeps carts apart."),
        ("MAINT/TST: Keep going", "maint", "Keep going"),
        ("[ENH] Keep carts apart", "enh", "Keep carts apart"),
        ("[WIP] Keep carts apart", "", "Keep carts apart"),
        ("🐛 fix(unix): keep carts apart (fixes #9) (#12)", "fix", "unix: keep carts apart"),
        ("carts: keep them apart", "", "carts: keep them apart"),
        ("Fixes #9: Keep carts apart", "", "Keep carts apart"),
        ("Keep carts apart, closes #9", "", "Keep carts apart"),
        ("#9 - keep carts apart", "", "keep carts apart"),
        ("Keep carts apart.  This fixes #9", "", "Keep carts apart."),
        ("Keep carts apart. Fixes #9 and closes ann/shop#4.", "", "Keep carts apart."),
        ("Relinquish the cart before close (#9)", "", "Relinquish the cart before close"),
        ("Return a tuple as discussed in #9", "", "Return a tuple as discussed in #9"),
        ("`cart[0]` is kept", "", "`cart[0]` is kept"),
        ("__len__ of carts", "", "__len__ of carts"),
        ("ci: more", "ci", "more"),
        ("Fix tests", "chore", "Fix tests"),
        ("Update documentation and tests of carts", "chore", "Update documentation and tests of carts"),
        ("Use black for carts", "chore", "Use black for carts"),
        ("[pre-commit.ci] pre-commit autoupdate (#9)", "chore", "pre-commit autoupdate"),
        ("Follow redirects in the test client", "", "Follow redirects in the test client"),
    ],
)
def test_titles_lose_their_type_and_their_references(title: str, kind: str, rest: str) -> None:
    assert left(title)[:2] == (kind, rest)


def test_a_title_that_github_cut_is_whole_again() -> None:
    assert left("Keep the carts of two users ap…\n\n…art (#9)\n\nThey were one.") == (
        "", "Keep the carts of two users apart", "They were one.",
    )  # fmt: skip


def test_trailers_references_and_notes_of_tools_are_left_out() -> None:
    message = """Keep carts apart

They were one. Fixes #12, see #13.

Closes: #14
Refs ann/shop#3
https://forge.example/ann/shop/pull/9
Signed-off-by: Ann <ann@example.org>
Co-authored-by: Bob <bob@example.org>
Reviewed-by: Bob
Assisted-by: a model
Change-Id: I0123456789
(cherry picked from commit 0123456789abcdef)
--HG--
branch : trunk
# Conflicts:
#	shop.py

This reverts commit 0123456789abcdef.

for more information, see https://pre-commit.ci
---------
🤖 Generated with something
"""
    assert left(message) == ("", "Keep carts apart", "They were one.")
    assert left("Keep carts apart\n\nThey were one\nCloses #14\n")[2] == "They were one"


def test_nothing_is_said_twice() -> None:
    message = "Keep carts apart (#3)\n\nKeep carts apart\n\n- They were one.\n- they were one\n\nUpdate docs/init.md\n"
    assert left(message + "\nUpdate docs/init.md\n" * 4)[1:] == (
        "Keep carts apart", "- They were one.\n\nUpdate docs/init.md",
    )  # fmt: skip


def test_github_s_list_of_squashed_commits_is_kept_apart() -> None:
    message = """Carts (#3)

* Keep carts apart

They were one.

* ci: run on forks

* Update shop/init.py

* Update shop/init.py

* fix tests

---------

Co-authored-by: Bob <bob@example.org>
"""
    found = written(change(message))
    assert shown(found.body) == "They were one."
    assert found.squashed == ("Keep carts apart", "Update shop/init.py")


def test_what_people_wrote_keeps_its_form() -> None:
    body = """Two users
had one cart:

- it kept what
  both had put in
- it was never empty

    shop.cart(1) is shop.cart(2)

```python
Closes: #1
```

1. end
2. of it"""
    assert left(f"Keep carts apart\n\n{body}\n")[2] == body


def test_pasted_diffs_are_left_out() -> None:
    fenced = "Keep carts apart\n\n```diff\n-x\n+y\n```\n\nThey were one.\n"
    assert left(fenced)[2] == "They were one."
    assert left("Keep carts apart\n\nThey were one.\n\ndiff --git a/x b/x\n+y\n")[2] == "They were one."


def test_text_that_only_points_elsewhere() -> None:
    assert only_references("Fixes #1, see ann/shop#2 and https://forge.example/3.")
    assert not only_references("Fixes the cart of #1") and not only_references("see also") and not only_references("")
