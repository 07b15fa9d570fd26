"""The reverse of a patch in git's format. Reversing twice gives the same text again.

In: a patch of text files. Out: the patch that undoes it. Lines stay in their order (an added line may come before a
removed one: every tool applies that), so nothing is lost. ValueError: a binary part, or nothing that is a patch.
"""

from __future__ import annotations

import re

from katcore.source.diff import GIT, FileDiff, Hunk, read_patch

_INDEX = re.compile(rb"index ([0-9a-f]+)\.\.([0-9a-f]+)(.*)", re.DOTALL)
_SIDE = re.compile(rb'\A("?)([ab])/')
_TURNED = {b"+": b"-", b"-": b"+"}
_PAIRS = (
    (b"old mode ", b"new mode "), (b"rename from ", b"rename to "), (b"copy from ", b"copy to "), (b"--- ", b"+++ "),
)  # fmt: skip
"""What lines of a header begin with that git wants in this order."""
_SWAPPED = dict([*_PAIRS, (b"new file mode ", b"deleted file mode ")])
_SWAPPED |= {other: one for one, other in _SWAPPED.items()}


def reverse(patch: str) -> str:
    """The patch that undoes this one."""
    data = patch.encode("utf-8", "surrogateescape")
    diffs = read_patch(data)
    if not diffs and data.strip():
        raise ValueError("what has no file in it cannot be reversed")
    before = data[: len(data) - sum(len(diff.raw) for diff in diffs)]
    return (before + b"".join(map(_reversed, diffs))).decode("utf-8", "surrogateescape")


def _reversed(diff: FileDiff) -> bytes:
    if diff.binary:
        raise ValueError("a binary part of a patch cannot be reversed")
    made = _header(diff) + b"".join(map(_hunk, diff.hunks)) + diff.tail
    return made if diff.raw.endswith(b"\n") else made.removesuffix(b"\n")


def _hunk(hunk: Hunk) -> bytes:
    mark, old, new, rest = hunk.header.split(b" ", 3)
    header = b" ".join([mark, b"-" + new[1:], b"+" + old[1:], rest])
    return hunk._replace(header=header, lines=[_TURNED.get(line[:1], line[:1]) + line[1:] for line in hunk.lines]).raw


def _header(diff: FileDiff) -> bytes:
    """Lines of two that belong together change places, since git wants them in order."""
    lines = [_line(line, diff) for line in diff.header.split(b"\n")]
    for at in range(len(lines) - 1):
        if (_word(lines[at + 1]), _word(lines[at])) in _PAIRS:
            lines[at], lines[at + 1] = lines[at + 1], lines[at]
    return b"\n".join(lines)


def _line(line: bytes, diff: FileDiff) -> bytes:
    if line.startswith(GIT):
        old, new = diff.both
        return GIT + _other_side(new) + b" " + _other_side(old) + line[len(line.rstrip(b"\r")) :]
    if found := _INDEX.fullmatch(line):
        return b"index %s..%s%s" % (found[2], found[1], found[3])
    if word := _word(line):
        name = line[len(word) :]
        return _SWAPPED[word] + (_other_side(name) if word in (b"--- ", b"+++ ") else name)
    return line


def _word(line: bytes) -> bytes:
    return next((word for word in _SWAPPED if line.startswith(word)), b"")


def _other_side(name: bytes) -> bytes:
    """`b/x` of `a/x`, quoted or not; any other name as it is."""
    return _SIDE.sub(lambda found: found[1] + (b"b/" if found[2] == b"a" else b"a/"), name)
