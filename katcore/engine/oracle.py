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

from katcore.source.diff import FileDiff, Hunk, read_patch

PLAIN_NAME = re.compile(rb"[\w./+@-]+\Z")
LOOKS = 2  # places of one file that a sample may look at
LOOKED_AT = 3  # lines of a place
EXTENDED = (b"old mode", b"new mode", b"rename ", b"copy ", b"similarity")


def _span(start: int, count: int) -> str:
    return f"{start - (count == 0)}" + ("" if count == 1 else f",{count}")


def without_context(hunk: Hunk) -> Iterator[bytes]:
    """The changed runs of a hunk, each as a hunk of its own."""
    old, new = hunk.old, hunk.new
    run: list[bytes] = []
    for line in [*hunk.lines, b" "]:
        if line.startswith((b"-", b"+")) or (run and line.startswith(b"\\")):
            run.append(line)
            continue
        if run:
            removed, added = (sum(1 for each in run if each.startswith(sign)) for sign in (b"-", b"+"))
            header = f"@@ -{_span(old, removed)} +{_span(new, added)} @@".encode()
            yield b"\n".join([header, *run])
            old, new, run = old + removed, new + added, []
        if not line.startswith(b"\\"):
            old, new = old + 1, new + 1


def _minimal(diff: FileDiff) -> bytes | None:
    """The diff with two header lines and no context; None when it says more than hunks can."""
    header = diff.header.split(b"\n")
    names = [line for line in header if line.startswith((b"--- ", b"+++ "))]
    if len(names) != 2 or not diff.hunks or diff.tail or any(line.startswith(EXTENDED) for line in header):
        return None
    if not all(PLAIN_NAME.match(name[4:]) for name in names):
        return None
    special = [line for line in header if line.startswith((b"new file mode", b"deleted file mode"))]
    if special and special != [b"new file mode 100644"] and not special[0].startswith(b"deleted"):
        return None
    runs = [run for hunk in diff.hunks for run in without_context(hunk)]
    if any(_cuts_newline(run) for run in runs):
        return None
    return b"\n".join([*names, *runs]) + b"\n"


def _cuts_newline(run: bytes) -> bool:
    """Whether git, which sees no context, would take the newline of the line before away too."""
    return b"\n\\ " in run and b"\n+" not in run


def _carried(data: bytes) -> str | None:
    """The text, if a here-document in a JSON string carries it unchanged."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text or "\r" in text else text


def command(diff: FileDiff) -> str:
    """One shell command that makes a file's change."""
    minimal = _minimal(diff)
    data, flag = (diff.raw, "") if minimal is None else (minimal, " --unidiff-zero")
    text = _carried(data)
    if text is None:
        return f"base64 -d <<'EOF' | git apply{flag}\n{base64.b64encode(data).decode()}\nEOF"
    end = "EOF"
    while end in text.split("\n"):
        end += "F"
    return f"git apply{flag} <<'{end}'\n{text}{end}"


def edits(patch: str) -> list[str]:
    """The commands that turn the base into the gold tree."""
    return [command(diff) for diff in _files(patch)]


def looks(diff: FileDiff) -> list[str]:
    """Commands that show the first places of a file that the diff changes; none for a new file."""
    if diff.old is None or not diff.hunks or not PLAIN_NAME.match(diff.old):
        return []
    name = diff.old.decode()
    return [f"sed -n '{hunk.old},{hunk.old + LOOKED_AT - 1}p' {name}" for hunk in diff.hunks[:LOOKS]]


def attempt(patch: str, sample: int, key: str) -> list[str]:
    """The edits of one sample, after looks that a coin of its own chose: sample 0 has none."""
    if sample == 0:
        return edits(patch)
    coin = random.Random(f"{key}\0{sample}")
    commands: list[str] = []
    for diff in _files(patch):
        commands += [look for look in looks(diff) if coin.random() < 0.5]
        commands.append(command(diff))
    return commands


def _files(patch: str) -> list[FileDiff]:
    """The last line may have lost its newline on the way."""
    return read_patch((patch if patch.endswith("\n") else patch + "\n").encode("utf-8", "surrogateescape"))
