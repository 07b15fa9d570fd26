"""The lines of a patch by what they are, for those who compare prose with them.

In: a patch. Out: `Lines`. What git shows beside `@@` counts as a line around the change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from katcore.source.diff import read_patch

_DOCUMENTS = re.compile(
    r".*\.(md|rst|txt|adoc|html)|(.*/)?(docs?|changes|changelog\.d|newsfragments)/.*", re.IGNORECASE
)
_NAME = re.compile(r"\b[^\W\d]\w*")


@dataclass(frozen=True)
class Lines:
    """Lines of code that a patch adds, removes and shows around them; all lines of documents. Names of code files."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    around: list[str] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)


def lines_of(patch: str) -> Lines:
    """The lines of a patch."""
    out = Lines()
    for diff in read_patch(patch.encode("utf-8", "surrogateescape")):
        sides = {"+": out.added, "-": out.removed, " ": out.around}
        if _DOCUMENTS.fullmatch(diff.name):
            sides = dict.fromkeys(sides, out.documents)
        else:
            out.files.add(diff.name.rpartition("/")[2])
        for hunk in diff.hunks:
            sides[" "].append(hunk.header.decode("utf-8", "replace").rpartition("@@")[2])
            for line in (raw.decode("utf-8", "replace") for raw in hunk.lines):
                if line[:1] in sides:
                    sides[line[:1]].append(line[1:])
    return out


def names_in(lines: Iterable[str]) -> frozenset[str]:
    """The names that stand in lines."""
    return frozenset(name for line in lines for name in _NAME.findall(line))
