"""Patches apply whole or not at all, and never outside their folder."""

from __future__ import annotations

import subprocess
import textwrap
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from katcore.environment.patch import LADDER, BadPatch, apply_here, check
from katcore.source.diff import content, rewritten, write_diff


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


EDIT = "--- a/a.txt\n+++ b/a.txt\n@@ -1 +1,2 @@\n one\n+two\n"
UNREAD = {
    "a space": textwrap.indent(EDIT, " "),
    "a tab": textwrap.indent(EDIT, "\t"),
    "crosses": textwrap.indent(EDIT, "XX"),
    "no spaces": EDIT.replace(" +1,2 @@", "+1,2@@"),
    "one space": EDIT.replace(" @@\n", "@@\n"),
    "text before": EDIT.replace("@@ -", "said\n@@ -"),
    "old name of another format": EDIT.replace("---", "***"),
    "a comment": EDIT.replace("+two", "# said\n+two"),
    "another sign": EDIT.replace(" one", "=one"),
}
"""Patches that the program reads and that are not read here, or not to their end."""


@pytest.mark.parametrize("text", UNREAD.values(), ids=UNREAD.keys())
def test_what_patch_alone_reads_is_not_applied(folder: Path, text: str) -> None:
    assert "+two" not in [line for _, line in content(text)], "nobody who looks at the patch sees it"
    (folder / "a.txt").write_text("one\nend\n")
    for command in LADDER["patch"]:
        subprocess.run(command, input=text.encode(), cwd=folder, check=True)
    assert "two\n" in (folder / "a.txt").read_text(), "the program itself applies it"
    (folder / "a.txt").write_text("one\nend\n")
    with pytest.raises(BadPatch, match="not written as git writes them"):
        apply_here(folder, text)
    with suppress(BadPatch):  # what git takes for text is no part of the patch
        apply_here(folder, write_diff("b.txt", None, "b\n") + text)
    assert (folder / "a.txt").read_text() == "one\nend\n"


@pytest.mark.parametrize("between", ["said\n", "\n"])
def test_hunks_with_text_between_them_are_applied_together_or_not_at_all(folder: Path, between: str) -> None:
    with pytest.raises(BadPatch):
        apply_here(folder, f"{EDIT}{between}@@ -1 +2,2 @@\n one\n+three\n")
    assert (folder / "a.txt").read_text() == "one\n"


@pytest.mark.parametrize("indent", [" ", "\t", "X", " \tX"])
def test_an_indented_patch_does_not_touch_git(folder: Path, indent: str) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("one\n")
    text = textwrap.indent(EDIT.replace("a.txt", ".git/config"), indent)
    with pytest.raises(BadPatch):
        apply_here(folder, text)
    assert (folder / ".git" / "config").read_text() == "one\n"
    subprocess.run(LADDER["patch"][1], input=text.encode(), cwd=folder, check=True)
    assert (folder / ".git" / "config").read_text() == "one\ntwo\n", "the program itself does it"


LINES = [line for text in (EDIT, *UNREAD.values()) for line in text.splitlines()] + ["", "\\ No newline", "#"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=9))
def test_what_is_applied_was_read(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> None:
    folder, text = tmp_path_factory.mktemp("repo"), "\n".join([EDIT.replace("two", "zero") + EDIT, *lines]) + "\n"
    (folder / "a.txt").write_text("one\n")
    with suppress(BadPatch):
        apply_here(folder, text)
    added = [line[1:] for _, line in content(text) if line.startswith("+")]
    assert {line for path in folder.iterdir() for line in path.read_text().splitlines()} <= {"one", *added}


def test_what_git_writes_is_given_to_patch_as_it_is(folder: Path) -> None:
    def git(*args: str) -> str:
        name = ("-c", "user.name=t", "-c", "user.email=t@t", "-c", "commit.gpgsign=false")
        return subprocess.run(["git", *name, *args], cwd=folder, check=True, capture_output=True, text=True).stdout

    for name in ("kept", "gone", "old", "mode"):
        (folder / name).write_text("".join(f"{name} {n}\n" for n in range(30)))
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "-m", "1")
    (folder / "kept").write_text("".join(f"kept {n * (n != 20)}\n" for n in range(30) if n != 3))
    (folder / "gone").unlink()
    (folder / "old").rename(folder / "new name")
    (folder / "mode").chmod(0o755)
    (folder / "more").write_text("no newline")
    git("add", "--all")
    patch = git("diff", "--cached", "-M").encode()
    assert rewritten(patch) == patch
    git("commit", "--quiet", "-m", "diff --git a/said b/said")
    mail = git("format-patch", "-1", "--stdout").encode()
    assert rewritten(b"said:\n" + mail) == patch


def test_without_prefixes_the_reason_says_so(folder: Path) -> None:
    with pytest.raises(BadPatch, match="lacks filename information when removing 1 leading pathname component"):
        apply_here(folder, diff("a.txt", "one", "two").replace("a/", "").replace("b/", ""))


def test_no_other_format_than_the_one_that_is_read(folder: Path) -> None:
    other = "*** a/a.txt\t1\n--- b/a.txt\t1\n***************\n*** 1 ****\n! one\n--- 1 ----\n! two\n"
    for text in (other, "Index: a.txt\n1c1\n< one\n---\n> two\n", "Index: a.txt\n0a\nx\n.\n"):
        with pytest.raises(BadPatch):
            apply_here(folder, text)
    assert (folder / "a.txt").read_text() == "one\n"
