"""Patches apply whole or not at all, and never outside their folder."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from katcore.environment.patch import BadPatch, apply_here, check
from katcore.source.diff import write_diff


def diff(name: str, old: str, new: str) -> str:
    return f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-{old}\n+{new}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "repo"
    made.mkdir()
    (made / "a.txt").write_text("one\n")
    return made


def test_apply(folder: Path) -> None:
    assert apply_here(folder, diff("a.txt", "one", "two")) == "git"
    assert (folder / "a.txt").read_text() == "two\n"


def test_an_empty_patch_is_fine(folder: Path) -> None:
    assert apply_here(folder, "\n") == "empty"


def test_a_patch_inside_another_repository_goes_to_the_folder(folder: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=folder.parent, check=True)
    apply_here(folder, diff("a.txt", "one", "two"))
    assert (folder / "a.txt").read_text() == "two\n"


def test_context_that_moved_is_found_by_patch(folder: Path) -> None:
    (folder / "b.txt").write_text("x\none\ny\nchanged\n")
    text = "diff --git a/b.txt b/b.txt\n--- a/b.txt\n+++ b/b.txt\n@@ -1,4 +1,4 @@\n x\n-one\n+two\n y\n z\n"
    assert apply_here(folder, text) == "patch"
    assert (folder / "b.txt").read_text() == "x\ntwo\ny\nchanged\n"


def test_half_a_patch_is_no_patch(folder: Path) -> None:
    with pytest.raises(BadPatch):
        apply_here(folder, diff("a.txt", "one", "two") + diff("missing.txt", "one", "two"))
    assert (folder / "a.txt").read_text() == "one\n"
    assert [path.name for path in folder.iterdir()] == ["a.txt"]


@pytest.mark.parametrize(
    "text",
    [
        diff("../outside.txt", "one", "two"),
        diff("x/../../outside.txt", "one", "two"),
        diff(".git/config", "one", "two"),
        diff(".GIT/hooks/x", "one", "two"),
        "diff --git a/a.txt b/a.txt\nrename from a.txt\nrename to /tmp/kat-stolen\n",
        'diff --git "a/../x" "b/../x"\n--- "a/../x"\n+++ "b/../x"\n@@ -1 +1 @@\n-one\n+two\n',
        'diff --git "a/.\\147it/x" "b/.\\147it/x"\nnew file mode 100644\n',
        "--- a/.git/config\n+++ b/.git/config\n@@ -1 +1 @@\n-one\n+two\n",
        diff("a.txt", "one", "two") + "Index: .git/config\n--- /dev/null\n+++ /dev/null\n@@ -0,0 +1 @@\n+x\n",
        diff("a.txt", "one", "two").replace("@@ -1 +1 @@", "@@ -1,9 +1,9 @@") + diff(".git/config", "one", "two"),
        diff("/etc/passwd", "one", "two"),
    ],
    ids=[
        "up",
        "up-and-up",
        "git",
        "git-in-capitals",
        "rename-away",
        "quoted",
        "octal",
        "plain",
        "index",
        "long",
        "root",
    ],
)
def test_a_patch_that_leaves_is_refused(folder: Path, text: str) -> None:
    (folder.parent / "outside.txt").write_text("one\n")
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("one\n")
    with pytest.raises(BadPatch, match="leaves the repository or touches"):
        apply_here(folder, text)
    assert (folder / ".git" / "config").read_text() == "one\n"
    assert (folder.parent / "outside.txt").read_text() == "one\n"


def test_a_patch_cannot_write_through_a_link_that_it_makes(folder: Path) -> None:
    text = (
        "diff --git a/out b/out\nnew file mode 120000\n--- /dev/null\n+++ b/out\n@@ -0,0 +1 @@\n+..\n"
        "\\ No newline at end of file\n"
        "diff --git a/out/stolen b/out/stolen\nnew file mode 100644\n--- /dev/null\n+++ b/out/stolen\n"
        "@@ -0,0 +1 @@\n+x\n"
    )
    with pytest.raises(BadPatch):
        apply_here(folder, text)
    assert not (folder.parent / "stolen").exists()


def test_lines_that_look_like_headers_are_content() -> None:
    check(b"diff --git a/x.sql b/x.sql\n--- a/x.sql\n+++ b/x.sql\n@@ -1 +1 @@\n--- /etc/../passwd\n+++ ../x\n")


@pytest.mark.parametrize("name", ["docs/about .git dirs.md", ".gitignore", "a..b/c", "x/.github/y", ".. b/z"])
def test_names_that_only_look_like_it_are_fine(folder: Path, name: str) -> None:
    apply_here(folder, write_diff(name, None, "x\n"))
    assert (folder / name).read_text() == "x\n"


def test_without_prefixes_the_reason_says_so(folder: Path) -> None:
    with pytest.raises(BadPatch, match="lacks filename information when removing 1 leading pathname component"):
        apply_here(folder, diff("a.txt", "one", "two").replace("a/", "").replace("b/", ""))


def test_no_other_format_than_the_one_that_is_read(folder: Path) -> None:
    other = "*** a/a.txt\t1\n--- b/a.txt\t1\n***************\n*** 1 ****\n! one\n--- 1 ----\n! two\n"
    for text in (other, "Index: a.txt\n1c1\n< one\n---\n> two\n", "Index: a.txt\n0a\nx\n.\n"):
        with pytest.raises(BadPatch):
            apply_here(folder, text)
    assert (folder / "a.txt").read_text() == "one\n"
