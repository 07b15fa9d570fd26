"""How patches are asked of git, and made byte-exact text.

In: the `FileDiff`s of `git … -p --binary --full-index`. Out: the same change. A record is JSON and holds text, so a
file whose patch is not UTF-8 (Latin-1 sources, NUL bytes) is asked for again as a `GIT binary patch`, which is ASCII
and applies to the very bytes. Names that are not ASCII are quoted by git itself. `git apply` takes every part as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable

from katcore.source.diff import FileDiff, read_patch
from katcore.source.git import Repository

DIFF_OPTIONS = (
    "--patch", "--binary", "--full-index", "--find-renames=50%", "-l1000", "--no-color", "--no-ext-diff",
    "--no-textconv",
    "--src-prefix=a/", "--dst-prefix=b/", "--unified=3", "--submodule=short", "--diff-algorithm=myers",
    "--no-indent-heuristic", "--ignore-submodules=none",
)  # fmt: skip
"""Options of git diff that print patches in one way, whatever the user's configuration."""

Redo = Callable[[list[bytes], bool], bytes]
"""(paths, as binary) → the patch of these paths alone, without renames."""

_ADDED = re.compile(rb"\n\+([^\n]*)")
_SIGN = re.compile(rb"^([-+ ]|@@ [^@]*@@ ?)", re.M)


def added(diff: FileDiff) -> list[bytes]:
    """The lines that git's patch of a file adds; none for a binary one."""
    return _ADDED.findall(diff.raw, diff.hunks_at) if diff.hunks_at >= 0 else []


def shown(diff: FileDiff) -> bytes:
    """All lines that git's patch of a file shows, without their signs."""
    return _SIGN.sub(b"", diff.raw[diff.hunks_at :]) if diff.hunks_at >= 0 else b""


def is_text(patch: bytes) -> bool:
    """Whether a JSON string can hold a patch as it is."""
    try:
        patch.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in patch


def lossless(diffs: list[FileDiff], split: Callable[[FileDiff], bool], redo: Redo) -> list[FileDiff]:
    """The same change with every part valid UTF-8, and no rename across the line that `split` draws.

    A rename from source to test becomes a deletion and an addition, so that each part belongs to one side.
    """
    crossing = [diff for diff in diffs if diff.old != diff.new and diff.old and diff.new and split(diff)]
    diffs = _again(diffs, crossing, redo, False)
    if is_text(b"".join(diff.raw for diff in diffs)):
        return diffs
    return _again(diffs, [diff for diff in diffs if not is_text(diff.raw)], redo, True)


def _again(diffs: list[FileDiff], wanted: list[FileDiff], redo: Redo, binary: bool) -> list[FileDiff]:
    """The parts with the `wanted` ones, and all that share a path with them, replaced by what `redo` makes."""
    if not wanted:
        return diffs
    paths: set[bytes] = set().union(*(diff.paths for diff in wanted))
    while more := [diff for diff in diffs if diff.paths & paths and not diff.paths <= paths]:
        paths = paths.union(*(diff.paths for diff in more))
    kept = [diff for diff in diffs if not diff.paths & paths]
    return kept + read_patch(redo(sorted(paths), binary))


def diff_again(repository: Repository, base: str, head: str, paths: list[bytes], binary: bool) -> bytes:
    """The patch of single files, without renames; a part of the paths at a time, since a command line has a limit."""
    attributes = repository.view / "binary.attributes" if binary else "/dev/null"
    out = b""
    for start in range(0, len(paths), 500):
        names = [os.fsdecode(path) for path in paths[start : start + 500]]
        out += repository.git(
            "-c", f"core.attributesFile={attributes}", "diff-tree", *DIFF_OPTIONS, "--no-renames",
            base, head, "--", *names, env={"GIT_LITERAL_PATHSPECS": "1"},
        )  # fmt: skip
    return out
