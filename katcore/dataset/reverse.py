"""The reverse of a patch in git's format. Reversing twice gives the same text again.

In: a patch of text files. Out: the patch that undoes it. Lines stay in their order (an added line may come before a
removed one: every tool applies that), so nothing is lost. Binary parts cannot be reversed: ValueError.
"""

from __future__ import annotations

import re

_HUNK = re.compile(r"^@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@(.*)$", re.DOTALL)
_SWAPPED = (
    ("new file mode ", "deleted file mode "), ("old mode ", "new mode "), ("rename from ", "rename to "),
    ("copy from ", "copy to "),
)  # fmt: skip


def reverse(patch: str) -> str:
    """The patch that undoes this one."""
    out: list[str] = []
    lines = patch.splitlines(keepends=True) if "\r" not in patch else re.findall(r"[^\n]*\n|[^\n]+", patch)
    left = right = 0  # lines of the hunk that are still to come, old and new
    at = 0
    while at < len(lines):
        line = lines[at]
        if left > 0 or right > 0:
            left -= line[:1] in (" ", "-", "\n")
            right -= line[:1] in (" ", "+", "\n")
            out.append({"+": "-", "-": "+"}.get(line[:1], line[:1]) + line[1:])
        elif found := _HUNK.match(line):
            old, old_count, new, new_count, rest = found.groups("")
            left, right = _count(old_count), _count(new_count)
            out.append(f"@@ -{new}{new_count} +{old}{old_count} @@{rest}")
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            out += ["--- " + _side(lines[at + 1][4:], "b/", "a/"), "+++ " + _side(line[4:], "a/", "b/")]
            at += 1
        else:
            out.append(_header(line))
        at += 1
    return "".join(_paired(out))


def _count(text: str) -> int:
    return int(text[1:]) if text else 1


def _side(name: str, old: str, new: str) -> str:
    return new + name[len(old) :] if name.startswith(old) else name


def _header(line: str) -> str:
    if line.startswith(("GIT binary patch", "Binary files ")):
        raise ValueError("a binary part of a patch cannot be reversed")
    if found := re.match(r"^index ([0-9a-f]+)\.\.([0-9a-f]+)(.*)$", line, re.DOTALL):
        return f"index {found[2]}..{found[1]}{found[3]}"
    if (found := re.match(r"^diff --git a/(.+) b/(.+?)(\r?\n?)$", line)) and found[1] != found[2]:
        return f"diff --git a/{found[2]} b/{found[1]}{found[3]}"
    for one, other in _SWAPPED:
        if line.startswith(one):
            return other + line[len(one) :]
        if line.startswith(other):
            return one + line[len(other) :]
    return line


def _paired(lines: list[str]) -> list[str]:
    """Git reads `old mode` before `new mode` and `from` before `to`."""
    out = list(lines)
    for at in range(len(out) - 1):
        for one, other in _SWAPPED[1:]:
            if out[at].startswith(other) and out[at + 1].startswith(one):
                out[at], out[at + 1] = out[at + 1], out[at]
    return out
