"""What git writes is read as git reads it: names, hunks, content; hostile headers included."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from katcore.source.diff import FileDiff, content, paths, read_patch, write_diff
from katcore.source.git import ended, isolated
from katcore.source.quoting import quoted, readable, unquoted

State = dict[bytes, tuple[bytes, int]]


def git(folder: Path, *args: str, data: bytes = b"") -> bytes:
    done = ended("-c", "user.name=t", "-c", "user.email=t@t", *args, env=isolated(), cwd=folder, data=data)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(folder: Path, state: State) -> None:
    for path in [path for path in folder.rglob("*") if ".git" not in path.parts and not path.is_dir()]:
        path.unlink()
    for name, (data, mode) in state.items():
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        path.chmod(mode)


def patch_of(folder: Path, old: State, new: State, *flags: str) -> bytes:
    folder.mkdir(exist_ok=True)
    git(folder, "init", "--quiet")
    for state in (old, new):
        write(folder, state)
        git(folder, "add", "--all", "--force")
        git(folder, "commit", "--quiet", "--allow-empty", "--message=x", "--no-verify")
    return git(folder, "diff", "--binary", "-M50%", *flags, "HEAD~", "HEAD")


def text(*lines: str) -> tuple[bytes, int]:
    return "".join(line + "\n" for line in lines).encode(), 0o644


N = [str(n) for n in range(40)]
CASES: dict[str, tuple[State, State]] = {
    "edit": ({b"a.py": text(*N)}, {b"a.py": text(*N[:9], "ten", *N[12:], "end")}),
    "new, gone, empty": ({b"a": text("x"), b"e": text()}, {b"b/c": text("y"), b"d": text()}),
    "renamed": ({b"a.py": text(*N), b"k": text(*N, "k")}, {b"b/c d.py": text(*N[1:]), b"\xc3\xbc": text(*N, "k")}),
    "renamed into a folder b": ({b"a b/c": text(*N)}, {b"a b/b/c": text(*N)}),
    "mode": ({b"a": (b"x\n", 0o644), b"b": (b"x\n", 0o755)}, {b"a": (b"x\n", 0o755), b"b": (b"y\n", 0o644)}),
    "binary": ({b"a": (bytes(range(256)), 0o644)}, {b"a": (bytes(range(255, -1, -1)), 0o644), b"n": (b"\0", 0o644)}),
    "no newline at the end": ({b"a": (b"x\ny", 0o644), b"b": (b"x", 0o644)}, {b"a": (b"x\nz", 0o644), b"b": text("x")}),
    "carriage returns": ({b"a": (b"x\r\ny\r\n", 0o644)}, {b"a": (b"x\r\nz\rw\r\n\r\n", 0o644)}),
    "other line ends": ({b"a": text("x\f", "y")}, {b"a": text("x", "\f", "z\x85\u2028w\v\x1c-y", "y")}),
    "latin-1": ({b"caf\xe9": (b"caf\xe9\n", 0o644)}, {b"caf\xe9": (b"th\xe9\n", 0o644)}),
    "odd names": (
        {name: text("x") for name in (b"a b", b'q"q', b"n\nl\tt", b"\\", b"c b/c", b" ", b"b/b b/b")},
        {name: text("y") for name in (b"a b", b'q"q', b"n\nl\tt", b"\\", b"c b/c", b" ", b"b/b b/b")},
    ),
    "content like headers": (
        {b"a": text("diff --git a/x b/x", "-- x", "@@ -1 +1 @@", "keep", "-- /etc/passwd"), b"z": text("1")},
        {b"a": text("++ y", "diff --git a/z b/z", "-- x", "@@ -2 +2 @@", "keep", "++ b/../c"), b"z": text("2")},
    ),
    "blank lines": ({b"a": text("", "", "x", "", "")}, {b"a": text("", "", "y", "", "")}),
}


def numstat(patch: bytes) -> list[tuple[bytes, bytes, bytes]] | None:
    """(added, removed, name) as git reads a patch; None where it reads none. A renamed file has its new name here."""
    done = ended("apply", "--numstat", "-z", "-", env=isolated(), cwd=Path("/"), data=patch)
    if done.returncode:
        return None
    fields = [tuple(line.split(b"\t", 2)) for line in done.stdout.split(b"\0") if line]
    return [(added, removed, name) for added, removed, name in fields]  # type: ignore[misc]


def ours(diff: FileDiff) -> tuple[bytes, bytes, bytes]:
    if diff.binary:
        return b"-", b"-", diff.path
    lines = [line for hunk in diff.hunks for line in hunk.lines]
    return *(b"%d" % sum(line.startswith(sign) for line in lines) for sign in (b"+", b"-")), diff.path  # type: ignore[return-value]


@pytest.mark.parametrize("flags", [(), ("--full-index", "-U0"), ("--no-renames",)], ids=["", "full", "no-renames"])
@pytest.mark.parametrize("name", CASES)
def test_as_git_reads_it(name: str, flags: tuple[str, ...], tmp_path: Path) -> None:
    patch = patch_of(tmp_path, *CASES[name], *flags)
    diffs = read_patch(patch)
    assert b"".join(diff.raw for diff in diffs) == patch
    assert [ours(diff) for diff in diffs] == numstat(patch)
    for diff in diffs:
        assert diff.tail == b""
        if diff.hunks:
            assert diff.header + b"".join(hunk.raw for hunk in diff.hunks) == diff.raw


@pytest.mark.parametrize("name", CASES)
def test_names_and_content(name: str, tmp_path: Path) -> None:
    old, new = CASES[name]
    diffs = read_patch(patch_of(tmp_path, old, new, "-U1000"))
    assert {diff.old for diff in diffs} - {None} <= old.keys() and {diff.new for diff in diffs} - {None} <= new.keys()
    assert {path for diff in diffs for path in diff.paths} == {n for n in old | new if old.get(n) != new.get(n)}
    for diff in diffs:
        assert diff.claimed == diff.paths
        if diff.hunks and diff.new:
            assert b"".join(hunk.after for hunk in diff.hunks) == new[diff.new][0]


@pytest.mark.parametrize("prefixes", [("i/", "w/"), ("old/", "new/")])
def test_other_prefixes(prefixes: tuple[str, str], tmp_path: Path) -> None:
    old, new = CASES["edit"]
    patch = patch_of(tmp_path, old, new, f"--src-prefix={prefixes[0]}", f"--dst-prefix={prefixes[1]}")
    assert paths(patch.decode()) == ["a.py"]


def test_without_prefixes_a_name_is_what_git_would_take_it_for(tmp_path: Path) -> None:
    patch = patch_of(
        tmp_path, {b"m.py": text("1"), b"src/m.py": text("1")}, {b"m.py": text("2"), b"src/m.py": text("2")}
    )
    patch = patch.replace(b"a/", b"").replace(b"b/", b"")
    assert [diff.path for diff in read_patch(patch)] == [b"m.py", b"m.py"]


def test_unquoted_names(tmp_path: Path) -> None:
    patch_of(tmp_path, {b"k": text(*N)}, {"grüße und b/ü".encode(): text(*N), b"n": text()})
    plain = git(tmp_path, "-c", "core.quotePath=false", "diff", "-M50%", "HEAD~", "HEAD")
    assert paths(plain.decode()) == ["grüße und b/ü", "k", "n"]


def test_mails(tmp_path: Path) -> None:
    patch_of(tmp_path, *CASES["edit"])
    patch_of(tmp_path, CASES["edit"][1], {b"a.py": text("--- a/x", "+++ b/x", "@@ -1 +1 @@")})
    mails = git(tmp_path, "format-patch", "--stdout", "-3")
    first, second = read_patch(mails)
    assert first.path == second.path == b"a.py" and first.tail.startswith(b"-- \n") and second.tail.startswith(b"-- \n")
    assert [ours(first), ours(second)] == numstat(mails)


def test_lines_ends_of_another_system(tmp_path: Path) -> None:
    patch = patch_of(tmp_path, *CASES["renamed"]) + patch_of(tmp_path / "2", *CASES["edit"])
    assert paths(patch.replace(b"\n", b"\r\n").decode()) == paths(patch.decode())


@pytest.mark.parametrize("zone", ["UTC", "EST5", "IST-5:30", "NPT-5:45"])
def test_what_diff_writes(tmp_path: Path, zone: str) -> None:
    written = {"a/x y.py": "one\n", "b/x y.py": "two\n", "b/new": "-- a\n", "a/gone": "++ b\n", "b/early": "x\n"}
    for name, lines in written.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(lines)
    (tmp_path / "a/early").write_text("y\n")
    os.utime(tmp_path / "a/early", (1, 1))  # a second later than no file at all
    diff = ["diff", "-ruN", "a", "b"]
    patch = subprocess.run(diff, cwd=tmp_path, capture_output=True, env={**os.environ, "TZ": zone}).stdout
    assert [ours(diff) for diff in read_patch(patch)] == numstat(patch)
    assert [(diff.old, diff.new) for diff in read_patch(patch)] == [
        (b"early", b"early"), (b"gone", None), (None, b"new"), (b"x y.py", b"x y.py"),
    ]  # fmt: skip
    git(tmp_path / "a", "apply", "-", data=patch)
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["early", "new", "x y.py"]


PLAIN = b"--- a/p\n+++ b/p\n@@ -1 +1 @@\n--- x\n+++ y\n"


def test_files_with_and_without_a_line_of_git_s(tmp_path: Path) -> None:
    patch = patch_of(tmp_path, *CASES["edit"])
    mixed = b"Index: a.py\n" + patch + b"said\n" + PLAIN + PLAIN.replace(b"p\n", b"q\n") + b"more\n"
    diffs = read_patch(mixed)
    assert [diff.path for diff in diffs] == [b"a.py", b"p", b"q"] and diffs[0].tail == b"said\n"
    assert b"Index: a.py\n" + b"".join(diff.raw for diff in diffs) == mixed
    assert [ours(diff) for diff in diffs] == numstat(mixed)
    assert [diff.path for diff in read_patch(PLAIN + patch)] == [b"p", b"a.py"]


def test_a_hunk_ends_where_it_must() -> None:
    damaged = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,9 +1,9 @@\n a\n-b\n+c\nno sign\n+d\n"
    (diff,) = read_patch(damaged)
    assert [hunk.lines for hunk in diff.hunks] == [[b" a", b"-b", b"+c"]] and diff.tail == b"no sign\n+d\n"
    (diff,) = read_patch(damaged.replace(b"-1,9", b"-0,0"))
    assert diff.hunks[0].lines == []
    assert [diff.path for diff in read_patch(b"diff --git a/x b/x\n@@ -junk\n" + PLAIN)] == [b"x", b"p"]


def test_places_of_lines(tmp_path: Path) -> None:
    patch = "From: me\n\n" + (patch_of(tmp_path, *CASES["content like headers"]) + PLAIN).decode()
    lines = patch.split("\n")
    found = list(content(patch))
    assert all(lines[place] == line for place, line in found)
    assert "--- x" in dict(found).values() and "--- a/a" not in dict(found).values()


def test_names_of_files_in_headers_alone() -> None:
    patch = (
        "diff --git a/plain.py b/plain.py\ndiff --git a/with space.py b/with space.py\ndiff --git a/old.py b/new.py\n"
        'diff --git "a/\\303\\244.py" "b/\\303\\244.py"\ndiff --git a/p "b/\\303\\244"\n'
    )
    assert paths(patch) == ["new.py", "old.py", "p", "plain.py", "with space.py", "ä", "ä.py"]


def test_headers_that_contradict_themselves_claim_every_name() -> None:
    patch = b"diff --git a/x b/x\nrename from y\nrename to z\n--- a/v\n+++ b/w\n@@ -1 +1 @@\n-1\n+2\n"
    assert read_patch(patch)[0].claimed == {b"x", b"y", b"z", b"v", b"w"}


@pytest.mark.parametrize("name", [b"x", b"\xff", b'"', b"\\", b"a\tb\nc\rd\x7f", "ü".encode(), b"\\101", b""])
def test_quoting(name: bytes) -> None:
    assert unquoted(quoted(name)) == name
    assert readable(b"caf\xe9") == '"caf\\351"' and readable("café".encode()) == "café"


PIECES = [
    b"diff --git a/x b/x", b"diff --git a/x b/y", b'diff --git "a/\\170" b/x', b"diff --git x x",
    b"new file mode 100644", b"deleted file mode 100644", b"rename from x", b"rename to y", b"copy from x",
    b"copy to z", b"similarity index 90%", b"index 1..2 100644", b"--- a/x", b"+++ b/x", b"--- /dev/null",
    b"+++ /dev/null", b"+++ b/y", b"--- a/w\t1", b"+++ w\t2", b"@@ -1 +1 @@", b"@@ -0,0 +1 @@", b"@@ -1 +0,0 @@",
    b"@@ -1,2 +1,2 @@ f", b"-a", b"+b", b" c", b"", b"\\ No newline at end of file", b"-- a/x", b"GIT binary patch",
    b"literal 1", b"IcmZ", b"Binary files a/x and b/x differ", b"Index: v", b"-- ", b"2.39", b"--- a/x\r",
    b"@@ -99999999999999999999999 +1 @@",
]  # fmt: skip
patches = st.lists(st.sampled_from(PIECES), max_size=14).map(lambda lines: b"\n".join(lines) + b"\n")


@example(b"diff --git a/x b/x\n--- a/w\t1\n+++ w\t2\n@@ -1 +1 @@\n-a\n+b\n")
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(patches)
def test_no_patch_trips_the_reader_and_none_hides_a_name_from_it(patch: bytes) -> None:
    diffs = read_patch(patch)
    assert patch.endswith(b"".join(diff.raw for diff in diffs))
    for diff in diffs:
        assert diff.paths <= diff.claimed
        assert len(diff.header) + sum(len(hunk.raw) for hunk in diff.hunks) + len(diff.tail) <= len(diff.raw) + 1
    read = numstat(patch)
    claimed = {name for diff in diffs for name in diff.claimed} | {b"dev/null"}  # which git makes where nothing ends
    assert {name for _, _, name in read or ()} <= claimed


@pytest.mark.parametrize("name", ["f", "a b", 'q"', "ü", "n\n", "d/e"])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1\n2\n", "1\n3\n"), (None, "x\n"), ("x\n", None), (None, ""), ("", None), ("", "x\n"), ("x", "x\n"),
        ("x\n", "y"), ("a\f\nb\x85\u2028\r\nc\r\n", "a\f\nB\x85\u2028\r\nc\r\n\n"), ("-- a\n", "++ b\n"),
    ],
)  # fmt: skip
def test_what_is_written_git_applies(name: str, old: str | None, new: str | None, tmp_path: Path) -> None:
    patch = write_diff(name, old, new)
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    if old is not None:
        path.write_bytes(old.encode())
    git(tmp_path, "apply", "-", data=patch.encode())
    assert (path.read_bytes().decode() if path.exists() else None) == new
    (diff,) = read_patch(patch.encode())
    assert diff.old == (None if old is None else name.encode()) and diff.new == (None if new is None else name.encode())
    assert write_diff(name, old, old) == ""
