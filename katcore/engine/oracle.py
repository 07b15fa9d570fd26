"""The gold patch as shell commands that a policy could have sampled itself, one for each file.

In: a git diff. Out: commands whose text holds the whole edit, with as few tokens as possible: hunks without context
lines (`git apply --unidiff-zero`) for plain edits, the diff's own section for all that hunks cannot say (renames,
modes, binary files), base64 for bytes that a shell's here-document does not carry. Nothing is read from a repository.
Samples after the first look at some of the places before they edit them, so that several verified attempts at a task
are not copies of one.
"""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from katcore.errors import InputError

HUNK = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
PLAIN_NAME = re.compile(r"[\w./+@-]+\Z")
LOOKS = 2  # places of one file that a sample may look at
LOOKED_AT = 3  # lines of a place
EXTENDED = ("old mode", "new mode", "rename ", "copy ", "similarity", "GIT binary patch", "Binary files")


@dataclass
class Hunk:
    """Where a hunk starts in the old and the new file, and its lines (`\\ No newline` stays with the line above)."""

    old: int
    new: int
    lines: list[str] = field(default_factory=list)


@dataclass
class Section:
    """The part of a diff on one file: the lines before the first hunk, the hunks, and its own text."""

    header: list[str]
    hunks: list[Hunk]
    text: str


def _read_hunk(lines: list[str], at: int) -> tuple[Hunk, int]:
    """The hunk whose `@@` line is `lines[at]`, and the index after it. Counted, so that content is never a header."""
    found = HUNK.match(lines[at])
    if found is None:
        raise InputError(f"not a hunk header: {lines[at][:80]!r}")
    old_start, new_start = int(found[1]), int(found[3])
    old_left, new_left = int(found[2] or 1), int(found[4] or 1)
    # With a count of 0 the header names the line before.
    hunk = Hunk(old_start + (old_left == 0), new_start + (new_left == 0))
    at += 1
    while at < len(lines) and (old_left > 0 or new_left > 0 or lines[at].startswith("\\")):
        line = lines[at]
        if line.startswith("\\"):
            hunk.lines[-1] += "\n" + line
        else:
            hunk.lines.append(line or " ")
            old_left -= line[:1] != "+"
            new_left -= line[:1] != "-"
        at += 1
    return hunk, at


def sections(patch: str) -> Iterator[Section]:
    """The files of a diff, in order."""
    lines = patch.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    at = 0
    while at < len(lines) and not lines[at].startswith("diff --git "):
        at += 1
    while at < len(lines):
        start, header, hunks = at, [lines[at]], []
        at += 1
        while at < len(lines) and not lines[at].startswith("diff --git "):
            if lines[at].startswith("@@ "):
                hunk, at = _read_hunk(lines, at)
                hunks.append(hunk)
            else:
                header.append(lines[at])
                at += 1
        yield Section(header, hunks, "\n".join(lines[start:at]) + "\n")


def _span(start: int, count: int) -> str:
    return f"{start - (count == 0)}" + ("" if count == 1 else f",{count}")


def without_context(hunk: Hunk) -> Iterator[str]:
    """The changed runs of a hunk, each as a hunk of its own."""
    old, new = hunk.old, hunk.new
    run: list[str] = []
    for line in [*hunk.lines, " "]:
        if line[0] != " ":
            run.append(line)
            continue
        if run:
            removed, added = (sum(1 for each in run if each[0] == sign) for sign in "-+")
            yield "\n".join([f"@@ -{_span(old, removed)} +{_span(new, added)} @@", *run])
            old, new, run = old + removed, new + added, []
        old, new = old + 1, new + 1


def _minimal(section: Section) -> str | None:
    """The section with two header lines and no context; None when it says more than hunks can."""
    names = [line for line in section.header if line.startswith(("--- ", "+++ "))]
    if len(names) != 2 or not section.hunks or any(line.startswith(EXTENDED) for line in section.header):
        return None
    if not all(PLAIN_NAME.match(name[4:]) for name in names):
        return None
    special = [line for line in section.header if line.startswith(("new file mode", "deleted file mode"))]
    if special and special != ["new file mode 100644"] and not special[0].startswith("deleted"):
        return None
    return "\n".join([*names, *(text for hunk in section.hunks for text in without_context(hunk))]) + "\n"


def _carried(text: str) -> bool:
    """Whether a here-document in a JSON string carries the text unchanged."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\0" not in text and "\r" not in text


def command(section: Section) -> str:
    """One shell command that makes the section's change."""
    minimal = _minimal(section)
    text, flag = (section.text, "") if minimal is None else (minimal, " --unidiff-zero")
    if not _carried(text):
        packed = base64.b64encode(text.encode("utf-8", "surrogateescape")).decode()
        return f"base64 -d <<'EOF' | git apply{flag}\n{packed}\nEOF"
    end = "EOF"
    while end in text.split("\n"):
        end += "F"
    return f"git apply{flag} <<'{end}'\n{text}{end}"


def edits(patch: str) -> list[str]:
    """The commands that turn the base into the gold tree."""
    return [command(section) for section in sections(patch)]


def looks(section: Section) -> list[str]:
    """Commands that show the first places of a file that the section changes; none for a new file."""
    named = [line[4:] for line in section.header if line.startswith("--- a/")]
    path = named[0].removeprefix("a/") if named else ""
    if not PLAIN_NAME.match(path):
        return []
    return [f"sed -n '{hunk.old},{hunk.old + LOOKED_AT - 1}p' {path}" for hunk in section.hunks[:LOOKS]]


def attempt(patch: str, sample: int, key: str) -> list[str]:
    """The edits of one sample, after looks that a coin of its own chose: sample 0 has none."""
    if sample == 0:
        return edits(patch)
    coin = random.Random(f"{key}\0{sample}")
    commands: list[str] = []
    for section in sections(patch):
        commands += [look for look in looks(section) if coin.random() < 0.5]
        commands.append(command(section))
    return commands
