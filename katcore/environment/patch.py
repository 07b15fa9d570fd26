"""Apply a patch that may be hostile: to a folder of this machine, or inside a box.

In: a patch in git's format. Out: how it was applied. Paths that leave the folder or touch `.git` are refused before
anything runs; `git apply` refuses the rest (links, `..`). `patch --fuzz` is the last rung, tried dry first, so that a
patch is applied whole or not at all. It would take more for a patch than git does, and than whoever looked at the patch
has seen: it is given what `source/diff.py` has read, and nothing where that is not all.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from katcore.sandbox import Box
from katcore.source.diff import content, names_in, rewritten
from katcore.source.git import GIT_ENV, ended, isolated

Exec = Callable[[Sequence[str], bytes], tuple[int, str]]

# No other format than the one that `source/diff.py` reads: `patch` knows more, up to scripts of an editor.
_PATCH = ("patch", "-p1", "--unified", "--batch", "--forward", "--fuzz=5", "--no-backup-if-mismatch", "-r", "-")
LADDER: dict[str, tuple[tuple[str, ...], ...]] = {
    "git": (("git", "apply", "--whitespace=nowarn", "-"),),
    "patch": ((*_PATCH, "--dry-run"), _PATCH),
}
"""The ways to apply a patch, tried in order: name → commands, each of which must end with 0."""


class BadPatch(Exception):
    """The patch does not apply, or tries to leave the repository."""


def check(patch: bytes) -> None:
    """Refuse names that are absolute, climb out, or touch git's own folder, wherever a header may stand."""
    inside = {place for place, _ in content(patch.decode("utf-8", "surrogateescape"))}
    for place, line in enumerate(patch.split(b"\n")):
        for name in names_in(line) if place not in inside else ():
            top, _, below = name.lower().partition(b"/")
            parts = (top, *below.split(b"/"))
            if not top or below.startswith(b"/") or b".." in parts or b".git" in parts:
                raise BadPatch("the patch leaves the repository or touches .git")


def _climb(patch: str, run: Exec) -> str:
    data = patch.encode("utf-8", "surrogateescape")
    if not data.strip():
        return "empty"
    check(data)
    said = []
    for rung, commands in LADDER.items():
        given = data if rung == "git" else rewritten(data)
        if given is None:
            said.append(f"{rung}: parts of it are not written as git writes them")
            continue
        for command in commands:
            code, output = run(command, given)
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
        env = {**isolated(), "GIT_CEILING_DIRECTORIES": str(folder.resolve().parent)}
        program, *args = command
        if shutil.which(program) is None:
            return 127, f"{program}: not installed"
        if program == "git":
            done = ended(*args, env=env, data=data, cwd=folder, timeout=300)
        else:
            done = subprocess.run(command, input=data, cwd=folder, env=env, capture_output=True, timeout=300)
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")

    return _climb(patch, run)


def apply_in_box(box: Box, patch: str) -> str:
    """Apply a patch in a box's workdir; returns the name of the way that worked. Raises BadPatch."""

    def run(command: Sequence[str], data: bytes) -> tuple[int, str]:
        done = box.exec(command, env=GIT_ENV, stdin=data, timeout_s=300)
        return done.code, (done.stdout + done.stderr).decode("utf-8", "replace")

    return _climb(patch, run)
