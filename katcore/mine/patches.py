"""Git's patch format, byte-exact: taking a commit's patch apart into files, and making every part valid UTF-8.

In: the output of `git … -p --binary --full-index`. Out: one `FileDiff` a file. A record is JSON and holds text, so a
file whose patch is not UTF-8 (Latin-1 sources, NUL bytes) is asked for again as a `GIT binary patch`, which is ASCII
and applies to the very bytes. Names that are not ASCII are quoted by git itself. `git apply` takes every part as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

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
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.S)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


class FileDiff(NamedTuple):
    """The part of a patch about one file.

    `old` and `new` are its paths in bytes, null where there is no file; `hunks` is where the hunks start, -1 when there
    are none.
    """

    raw: bytes
    old: bytes | None
    new: bytes | None
    hunks: int

    @property
    def path(self) -> bytes:
        """The path after the change, or before it when the file is gone."""
        return self.new if self.new is not None else self.old or b""

    @property
    def paths(self) -> set[bytes]:
        """The paths before and after the change, one or two."""
        return {path for path in (self.old, self.new) if path is not None}

    @property
    def name(self) -> str:
        """The path as text; quoted as git does where it is not UTF-8."""
        return readable(self.path)

    @property
    def added(self) -> bytes:
        """The text that the change adds; empty for a binary patch."""
        return b"".join(line + b"\n" for line in self._added_lines())

    @property
    def size(self) -> int:
        """The number of bytes that the change adds."""
        lines = self._added_lines()
        return sum(map(len, lines)) + len(lines)

    @property
    def content(self) -> bytes:
        """All lines that the patch shows, without their signs."""
        return _SIGN.sub(b"", self.raw[self.hunks :]) if self.hunks >= 0 else b""

    def _added_lines(self) -> list[bytes]:
        return _ADDED.findall(self.raw, self.hunks) if self.hunks >= 0 else []


def is_text(patch: bytes) -> bool:
    """Whether a JSON string can hold a patch as it is."""
    try:
        patch.decode()
    except UnicodeDecodeError:
        return False
    return b"\0" not in patch


def file_diffs(patch: bytes) -> list[FileDiff]:
    """The parts of a patch. Content is indented by a sign, so none of it looks like the first line of a part."""
    start = patch.find(b"diff --git ")
    if start < 0:
        return []
    return [_file_diff(b"diff --git " + part) for part in _split(patch[start + 11 :])]


def _split(patch: bytes) -> list[bytes]:
    parts = patch.split(b"\ndiff --git ")
    return [part + b"\n" for part in parts[:-1]] + [parts[-1] if parts[-1].endswith(b"\n") else parts[-1] + b"\n"]


def _file_diff(raw: bytes) -> FileDiff:
    hunks = raw.find(b"\n@@ -") + 1 or -1
    head = raw[: hunks if hunks >= 0 else 20000]
    if b"\nrename from " in head:
        return FileDiff(raw, unquoted(_line(head, b"rename from ")), unquoted(_line(head, b"rename to ")), hunks)
    path = _same(head[11 : head.find(b"\n")])
    if b"\nnew file mode " in head:
        return FileDiff(raw, None, path, hunks)
    return FileDiff(raw, path, None if b"\ndeleted file mode " in head else path, hunks)


def _line(head: bytes, start: bytes) -> bytes:
    at = head.index(b"\n" + start) + 1 + len(start)
    end = head.find(b"\n", at)
    return head[at:end] if end >= 0 else head[at:]


def _same(names: bytes) -> bytes:
    """The path in `a/PATH b/PATH`, quoted or not; the halves must be equal but for their first letter."""
    half = names[len(names) // 2 + 1 :]
    return unquoted(half)[2:]


def unquoted(name: bytes) -> bytes:
    """A path as git prints it, without the quoting of special characters."""
    if not name.startswith(b'"'):
        return name
    return _ESCAPE.sub(
        lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3 else _ESCAPES.get(m[1], m[1]),
        name[1:-1],
    )


def quoted(path: bytes) -> bytes:
    """A path in double quotes, as git reads it back."""
    return b'"' + b"".join(b"\\%03o" % c if c < 32 or c > 126 or c in b'"\\' else bytes([c]) for c in path) + b'"'


@lru_cache(maxsize=1 << 16)
def readable(path: bytes) -> str:
    """A path as text: itself where it is UTF-8, else git's quoted form."""
    try:
        return path.decode()
    except UnicodeDecodeError:
        return quoted(path).decode("ascii")


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
    return kept + file_diffs(redo(sorted(paths), binary))


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
