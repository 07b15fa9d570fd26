"""The problem statement, from what people wrote about the change: never from its code.

In: a change. Out: text. Issues come first, because they tell the need; a change-log or commit message follows. Lines
that point at the change itself (pull requests, commits, diffs) are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from katcore.records import Change

TEMPLATE = Path(__file__).with_name("instruction.md")
_TRAILER = re.compile(
    r"^(signed-off-by:|co-authored-by:|reviewed-by:|change-id:|\(cherry picked|merge (pull request|branch|remote)"
    r"|(close[sd]?|fix(es|ed)?|resolve[sd]?) #\d+\.?$)",
    re.IGNORECASE,
)
_CODE = re.compile(r"^(diff --git |index [0-9a-f]{7,}|@@ |--- a/|\+\+\+ b/)")
LONGEST = 8000


def problem_statement(change: Change) -> str:
    """The task's instruction from what people wrote about the change, as text or Markdown that ends with a newline."""
    parts = [f"{issue.title}\n\n{_clean(issue.body)}".strip() for issue in change.issues]
    title, body = change.title.strip(), _clean(change.body)
    parts += [part for part in (title, body) if part and part not in parts]
    text = "\n\n".join(part for part in parts if part)[:LONGEST].strip()
    return TEMPLATE.read_text(encoding="utf-8").format(
        repo=change.repo, text=text or "(The change has no description.)"
    )


def _clean(text: str) -> str:
    lines: list[str] = []
    for line in text.replace("\r\n", "\n").splitlines():
        if _CODE.match(line):
            break  # a diff somebody pasted
        if not _TRAILER.match(line.strip()):
            lines.append(line.rstrip())
    return "\n".join(lines).strip()
