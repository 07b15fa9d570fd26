"""Apply a patch that may be hostile: to a folder of this machine, or inside a box.

In: a patch in git's format. Out: how it was applied. Paths that leave the folder or touch `.git` are refused before
anything runs; `git apply` refuses the rest (links, `..`). `patch --fuzz` is the last rung, tried dry first, so that a
patch is applied whole or not at all.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from katcore.sandbox import Box

GIT_ENV = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_COUNT": "3",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
    "GIT_CONFIG_KEY_1": "core.hooksPath",
    "GIT_CONFIG_VALUE_1": "/dev/null",
    "GIT_CONFIG_KEY_2": "core.fsmonitor",
    "GIT_CONFIG_VALUE_2": "false",
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C.UTF-8",
}
"""Environment variables with which git reads nobody's configuration and runs no hooks."""

Exec = Callable[[Sequence[str], bytes], tuple[int, str]]

LADDER: dict[str, tuple[tuple[str, ...], ...]] = {
    "git": (("git", "apply", "--whitespace=nowarn", "-"),),
    "patch": (
        ("patch", "-p1", "--batch", "--forward", "--fuzz=5", "--no-backup-if-mismatch", "-r", "-", "--dry-run"),
        ("patch", "-p1", "--batch", "--forward", "--fuzz=5", "--no-backup-if-mismatch", "-r", "-"),
    ),
}
"""The ways to apply a patch, tried in order: name → commands, each of which must end with 0."""


class BadPatch(Exception):
    """The patch does not apply, or tries to leave the repository."""


_HEADER = re.compile(rb"^(?:---|\+\+\+|rename from|rename to|copy from|copy to|diff --git) (.+)$", re.MULTILINE)


def check(patch: bytes) -> None:
    """Raise BadPatch for paths that are absolute, climb out of the repository, or touch git's own folder."""
    for found in _HEADER.finditer(patch):
        line = found.group(1).split(b"\t")[0]
        if found.group(0)[:3] in (b"---", b"+++") and not line.startswith((b'"', b"a/", b"b/")):
            continue  # /dev/null, or a removed or added line that merely looks like a header
        # git and patch read quoted names, in which any letter can be an octal escape
        plain = re.sub(rb"\\([0-3][0-7]{2})", lambda octal: bytes([int(octal[1], 8)]), line)
        parts = re.split(rb'[/ "]', plain.lower())
        if line.startswith(b"/") or b".." in parts or b".git" in parts:
            raise BadPatch("the patch leaves the repository or touches .git")


def paths(patch: str) -> list[str]:
    """The files that a patch in git's format touches, old and new names, sorted."""
    found: set[str] = set()
    for match in re.finditer(r"^diff --git (.+)$", patch, re.MULTILINE):
        found.update(_both(match.group(1)))
    return sorted(found)


def _both(names: str) -> Iterable[str]:
    if names.startswith('"') or names.endswith('"'):
        for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', names):
            yield (_unquote(quoted) if quoted else plain)[2:]
        return
    half = len(names) // 2
    if names[2:half] == names[half + 3 :]:  # the same name twice, spaces in it or not
        yield names[2:half]
        return
    old, _, new = names.partition(" b/")
    yield from (old.removeprefix("a/"), new)


def _unquote(text: str) -> str:
    """Undo git's C-style quoting, in which bytes beyond ASCII are octal escapes."""
    plain = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "a": "\a", "b": "\b", "f": "\f", "r": "\r", "v": "\v"}
    out = bytearray()
    for octal, escape, char in re.findall(r"\\([0-7]{3})|\\(.)|([^\\]+)", text):
        out += bytes([int(octal, 8)]) if octal else (plain.get(escape, escape) if escape else char).encode()
    return out.decode("utf-8", "surrogateescape")


def _climb(patch: str, run: Exec) -> str:
    data = patch.encode("utf-8", "surrogateescape")
    if not data.strip():
        return "empty"
    check(data)
    said = []
    for rung, commands in LADDER.items():
        for command in commands:
            code, output = run(command, data)
            if code != 0:
                said.append(f"{rung}: {output.strip()[-300:]}")
                break
        else:
            return rung
    raise BadPatch("; ".join(said))


def apply_here(folder: Path, patch: str) -> str:
    """Apply a patch to a folder of this machine; returns the name of the way that worked. Raises BadPatch."""

    def run(command: Sequence[str], data: bytes) -> tuple[int, str]:
        # a ceiling at the parent keeps git out of a repository that the folder may lie in
        env = {**_path(), **GIT_ENV, "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent)}
        if shutil.which(command[0]) is None:
            return 127, f"{command[0]}: not installed"
        done = subprocess.run(command, input=data, cwd=folder, env=env, capture_output=True, check=False, timeout=300)
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")

    return _climb(patch, run)


def apply_in_box(box: Box, patch: str) -> str:
    """Apply a patch in a box's workdir; returns the name of the way that worked. Raises BadPatch."""

    def run(command: Sequence[str], data: bytes) -> tuple[int, str]:
        done = box.exec(command, env=GIT_ENV, stdin=data, timeout_s=300)
        return done.code, (done.stdout + done.stderr).decode("utf-8", "replace")

    return _climb(patch, run)


def _path() -> Mapping[str, str]:
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
