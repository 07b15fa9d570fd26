"""The oracle's commands make exactly the gold tree, from text that a policy could have sampled."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from katcore.engine.oracle import attempt, edits

GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "core.autocrlf=false"]
State = dict[str, tuple[bytes, int] | None]


def write(folder: Path, state: State) -> None:
    for path in [p for p in folder.rglob("*") if ".git" not in p.parts and not p.is_dir()]:
        path.unlink()
    for name, file in state.items():
        if file is not None:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file[0])
            path.chmod(file[1])


def read(folder: Path) -> State:
    files = [p for p in folder.rglob("*") if ".git" not in p.relative_to(folder).parts and p.is_file()]
    return {str(p.relative_to(folder)): (p.read_bytes(), p.stat().st_mode & 0o111) for p in files}


def gold(folder: Path, old: State, new: State, *flags: str) -> str:
    """The diff between two states; the folder holds the old one afterwards."""
    folder.mkdir(exist_ok=True)
    for command in (["init", "-q"],):
        subprocess.run([*GIT, *command], cwd=folder, check=True)
    write(folder, old)
    subprocess.run([*GIT, "add", "-A", "-f"], cwd=folder, check=True)
    subprocess.run([*GIT, "commit", "-qm", "base", "--allow-empty"], cwd=folder, check=True)
    write(folder, new)
    subprocess.run([*GIT, "add", "-A", "-f"], cwd=folder, check=True)
    diff = subprocess.run([*GIT, "diff", "--cached", "--binary", *flags], cwd=folder, check=True, capture_output=True)
    subprocess.run([*GIT, "reset", "-q", "--hard"], cwd=folder, check=True)
    return diff.stdout.decode("utf-8", "surrogateescape")


def replay(folder: Path, patch: str) -> list[str]:
    commands = edits(patch)
    for command in commands:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
        done = subprocess.run(["/bin/bash", "-c", command], cwd=folder, capture_output=True, env=env)
        assert done.returncode == 0, (command, done.stderr)
    return commands


def text(*lines: str) -> tuple[bytes, int]:
    return "".join(line + "\n" for line in lines).encode(), 0o644


NUMBERS = [str(n) for n in range(1, 40)]
CASES: dict[str, tuple[State, State]] = {
    "edit": ({"a.py": text(*NUMBERS)}, {"a.py": text(*NUMBERS[:9], "ten", *NUMBERS[12:], "end")}),
    "insert_at_the_top": ({"a.py": text("x")}, {"a.py": text("new", "x")}),
    "insert_among_equal_lines": ({"a.py": text(*["x"] * 30)}, {"a.py": text(*["x"] * 11, "y", *["x"] * 19)}),
    "delete_lines": ({"a.py": text(*NUMBERS)}, {"a.py": text(*NUMBERS[:3], *NUMBERS[30:])}),
    "new_file": ({}, {"pkg/new.py": text("a", "", "b")}),
    "new_empty_file": ({}, {"pkg/__init__.py": (b"", 0o644)}),
    "new_executable": ({}, {"run.sh": (b"#!/bin/sh\n", 0o755)}),
    "deleted_file": ({"a.py": text("x"), "b.py": text("y")}, {"b.py": text("y")}),
    "renamed": ({"a.py": text(*NUMBERS)}, {"b/c.py": text(*NUMBERS[:-1], "changed")}),
    "mode": ({"a.sh": (b"x\n", 0o644)}, {"a.sh": (b"x\n", 0o755)}),
    "mode_and_edit": ({"a.sh": (b"x\n", 0o644)}, {"a.sh": (b"y\n", 0o755)}),
    "binary": ({"a.bin": (bytes(range(256)), 0o644)}, {"a.bin": (bytes(range(255, -1, -1)), 0o644)}),
    "new_binary": ({}, {"a.bin": (b"\0\1\2" * 99, 0o644)}),
    "no_newline_at_end": ({"a": (b"x\ny", 0o644)}, {"a": (b"x\nz", 0o644)}),
    "last_line_without_newline_goes": ({"a": (b"x\ny", 0o644)}, {"a": (b"x\n", 0o644)}),
    "newline_added_at_end": ({"a": (b"x\ny", 0o644)}, {"a": (b"x\ny\n", 0o644)}),
    "windows_lines": ({"a": (b"x\r\ny\r\n", 0o644)}, {"a": (b"x\r\nz\r\n", 0o644)}),
    "latin_1": ({"a": (b"caf\xe9\nx\n", 0o644)}, {"a": (b"caf\xe9\ny\n", 0o644)}),
    "a_name_with_spaces": ({"a b.py": text("x")}, {"a b.py": text("y")}),
    "a_name_beyond_ascii": ({"ü.py": text("x")}, {"ü.py": text("y")}),
    "lines_that_look_like_a_diff": (
        {"a": text("diff --git a/x b/x", "-- x", "@@ -1 +1 @@", "keep")},
        {"a": text("++ y", "diff --git a/z b/z", "-- x", "@@ -2 +2 @@", "keep")},
    ),
    "shell_words": ({"a": text("x")}, {"a": text("$HOME `id` \\n 'q' \"d\" !x", "EOF", "EOFF", "\\")}),
    "two_files": ({"a": text("1"), "b": text("2")}, {"a": text("3"), "b": text("4")}),
    "trailing_space": ({"a": text("x")}, {"a": text("x  ", "\t", "")}),
    "form_feed": ({"a": text("x", "y")}, {"a": text("x", "\x0c", "z\x85\u2028w")}),
}


@pytest.mark.parametrize("name", CASES)
def test_the_commands_make_the_gold_tree(name: str, tmp_path: Path) -> None:
    old, new = CASES[name]
    patch = gold(tmp_path, old, new, "-M")
    replay(tmp_path, patch)
    got = {n: (data, bool(mode)) for n, (data, mode) in ((k, v) for k, v in read(tmp_path).items() if v)}
    assert got == {n: (f[0], bool(f[1] & 0o111)) for n, f in new.items() if f is not None}


def test_one_command_a_file_and_no_context(tmp_path: Path) -> None:
    patch = gold(tmp_path, {"a": text(*NUMBERS), "b": text("1")}, {"a": text(*NUMBERS[:20], "new"), "b": text("2")})
    commands = replay(tmp_path, patch)
    assert len(commands) == 2
    assert "\n " not in commands[0] and len(commands[1].encode()) < 90


def test_further_samples_look_before_they_edit(tmp_path: Path) -> None:
    old, new = {"a": text(*NUMBERS), "b c": text("1")}, {"a": text(*NUMBERS[:9], "new", *NUMBERS[9:]), "b c": text("2")}
    patch = gold(tmp_path, old, new)
    plain = edits(patch)
    assert attempt(patch, 0, "task") == plain
    samples = [attempt(patch, n, "task") for n in range(1, 9)]
    assert samples == [attempt(patch, n, "task") for n in range(1, 9)] != [attempt(patch, n, "x") for n in range(1, 9)]
    looked = [[command for command in commands if command not in plain] for commands in samples]
    assert {len(found) for found in looked} == {0, 1}  # a name with a space is not looked at
    assert all([command for command in commands if command in plain] == plain for commands in samples)
    look = max(looked)[0]
    shown = subprocess.run(["/bin/bash", "-c", look], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert shown.splitlines() == list(NUMBERS[6:9])


def test_nothing_for_an_empty_patch() -> None:
    assert edits("") == []


lines = st.lists(st.sampled_from(["a", "b", "", " ", "-x", "+y", "@@ -1 +1 @@"]), max_size=12)
contents = st.tuples(lines, st.booleans()).map(lambda drawn: ("\n".join(drawn[0]) + "\n" * drawn[1]).encode())


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(old=contents, new=contents)
def test_any_edit_is_reproduced(old: bytes, new: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("repo")
    replay(folder, gold(folder, {"f": (old, 0o644)}, {"f": (new, 0o644)}))
    assert (folder / "f").read_bytes() == new
