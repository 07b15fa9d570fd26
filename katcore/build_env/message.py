"""What people wrote about a change, without what tools and habits add to it.

In: a change. Out: `Written`, its title and the blocks of its body. Left out are merge subjects (the title is then the
pull request's, which GitHub puts into the body), trailers, references to issues, commits and the change itself, notes
of version control, pasted diffs, GitHub's list of squashed commits, and what was said before. Which of what is left
tells the implementation says `implementation.py`, whether it tells enough `instruction.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from katcore.records import Change

LONGEST = 1 << 16
"""The most characters of a message that are read."""

LONGEST_SUBJECT = 200
"""The most characters of a title that say what kind of title it is."""

_POINTER = re.compile(r"(?:[\w.-]+/[\w.-]+)?#\d+|gh-\d+|https?://.*|[0-9a-f]{7,40}", re.IGNORECASE)
_POINTING = frozenset(
    """
    address addresses addressed also and backport bug bugs cc close closes closed fix fixes fixed follow-up for issue
    issues link links merge merges of part port pr pull ref reference references refs related replaces request resolve
    resolves resolved reverts commit see supersedes this to
    """.split()  # noqa: SIM905 - a list of names, one word each
)
"""Words before a pointer that are pointless without it."""

_TRAILER = re.compile(
    r"(?:[a-z]+(?:-[a-z]+)*-(?:by|id|url|on|from|to):\s.*|cc:\s.*|\(cherry picked from .*|--HG--|branch : .*"
    r"|extra : .*|#?\s*conflicts:|#\t.*|for more information, see \S+|\W*generated (?:with|by) .*"
    r"|[-=~^*_#`'\"+]{3,})",
    re.IGNORECASE,
)
_DIFF = re.compile(r"(diff --git |index [0-9a-f]{7,}|@@ |--- a/|\+\+\+ b/)")

_BRANCH = r"['\"`]?(?:\S*/\S+|stable|main|master|trunk|dev|develop|upstream|next|heads?|v?\d+(?:\.(?:\d+|x))+)['\"`]?"
_MERGE = re.compile(
    rf"merge[ds]?(?: (?:pull request|branch(?:es)?|remote|remote-tracking|tag|commit)\b.*| (?:\S+ into )?{_BRANCH}"
    rf"(?: (?:into|from)\b.*)?(?: [(]#\d+[)])?| from \S+)?[.!\s]*",
    re.IGNORECASE,
)
_TAGS = re.compile(r"(?:[^\w`'\"(\[<@#*._-]|\[[^\]]*\]|wip\b:?)+", re.IGNORECASE)
_KIND = re.compile(r"([a-z]+(?:[/&][a-z]+)*)(\([^)]*\))?!?:\s+(?=\S)", re.IGNORECASE)
NEEDS = frozenset("fix bug bugfix hotfix feat feature enh enhancement perf add change security dep".split())  # noqa: SIM905
REWORK = frozenset("refactor refacto refactoring ref cleanup".split())  # noqa: SIM905
QUIET = frozenset("ci build test tests tst testing doc docs style chore chores lint maint mnt typing deps".split())  # noqa: SIM905
"""The types of conventional titles (and numpy's): what is needed, what only moves code, what changes no behaviour."""

_HOUSEKEEPING = re.compile(
    r"\W*(?:[\w.'/-]+ ){0,2}(?:docs?|documentation|docstrings?|tests|testing|(?:code |test )?coverage|test suite|ci|tox"
    r"|nox|lint\w*|pep-?8|flake8|ruff|black|mypy|isort|pyupgrade|pre-?commit|changelog|readme|copyrights?"
    r"|typos?(?= in|$)|dependencies)\b|(?:(?:add|complet|correct|fix|improv|inlin|more|minimal|updat)\w* ){1,2}type"
    r" (?:annotations?|definitions?|hints?)\b",
    re.IGNORECASE,
)
"""Matches titles, and items of lists, that speak of tests, documents or tools: what they are about changes nothing."""

_ITEM = re.compile(r"\s*(?:[-*+]|\d{1,9}[.)])\s+")
_SQUASHED = re.compile(r"\* +\S")
_SENTENCE = re.compile(r"(?<=[.!?:])\s+(?=[A-Z`'\"(*\[])")


@dataclass(frozen=True)
class Block:
    """A title, a paragraph, an item of a list or code, as it was written, and its sentences (code has none)."""

    text: str
    sentences: tuple[str, ...] = ()
    title: bool = False

    @property
    def item(self) -> bool:
        """Whether it is an item of a list."""
        return bool(self.sentences and _ITEM.match(self.text))

    @property
    def hangs(self) -> bool:
        """Whether it may follow a line that ends with a colon."""
        return self.item or bool(self.text and not self.sentences)


@dataclass(frozen=True)
class Written:
    """What is left of a message. `kind`: the type of a conventional title; `squashed`: GitHub's list of commits."""

    kind: str = ""
    title: str = ""
    body: tuple[Block, ...] = ()
    squashed: tuple[str, ...] = field(default=())


def written(change: Change) -> Written:
    """What people wrote about a change."""
    title, body = change.title.strip()[:LONGEST], change.body[:LONGEST].replace("\r\n", "\n")
    if re.search(r"(…|\.\.\.)$", title) and (rest := re.match(r"(…|\.\.\.)(.*)\n?", body)):
        title, body = title.rstrip("….") + rest[2], body[rest.end() :]
    said: set[str] = set()
    found, squashed = parts(body)
    blocks = [block for block in found if _new(block.text, said) and not (block.item and _quiet(block.text))]
    if not title or _MERGE.fullmatch(title[: 2 * LONGEST_SUBJECT]):
        title = ""
        if blocks and blocks[0].sentences and "\n" not in blocks[0].text and not _ITEM.match(blocks[0].text):
            title = blocks.pop(0).text
    kind, title = _titled(title)
    said = set()
    _new(title, said)
    items = [item for item in map(_untagged, squashed) if _new(item, said)]
    return Written(kind, title, tuple(block for block in blocks if _new(block.text, said)), tuple(items))


def _titled(title: str) -> tuple[str, str]:
    """(type, title without type, tags and references)."""
    tags = _TAGS.match(title)
    kinds = re.findall(r"[a-z]+", tags[0].lower()) if tags else []
    title = title[tags.end() :] if tags else title
    if (match := _KIND.match(title)) and set(re.split("[/&]", match[1].lower())) <= NEEDS | REWORK | QUIET:
        kinds += re.split("[/&]", match[1].lower())
        title = f"{match[2][1:-1]}: {title[match.end() :]}" if match[2] else title[match.end() :]
    kind = next((kind for kind in kinds if kind in NEEDS | REWORK | QUIET), "")
    return "chore" if _quiet(title) else kind, _without_references(title)


def _quiet(subject: str) -> bool:
    return bool(_HOUSEKEEPING.match(subject[:LONGEST_SUBJECT]))


def _untagged(item: str) -> str:
    kind, title = _titled(item)
    return "" if kind in REWORK | QUIET else title


def only_references(text: str) -> bool:
    """Whether a text only points somewhere: `Fixes #12, see #13.`"""
    words = text.split()
    return any(map(_points, words)) and all(_points(word) or _bare(word) in _POINTING | {""} for word in words)


def _without_references(title: str) -> str:
    """`Fixes #9: keep it (#12)` → `keep it`; what `as discussed in #3` ends with stays."""
    words = title.split()
    while words and _points(words[-1]):
        start = len(words) - 1
        while start and words[start][0] != "(" and _bare(words[start - 1]) in _POINTING:
            start -= 1
        if start and start == len(words) - 1 and words[start][0] != "(" and words[start - 1][-1] not in ".,;:)":
            break
        del words[start:]
    start = next((place for place, word in enumerate(words) if _bare(word) not in _POINTING), len(words))
    first = words[start : start + 2]
    if first and _points(first[0]) and (first[0].endswith(":") or first[1:] == ["-"]):
        del words[: start + len(first) - first[0].endswith(":")]
    return " ".join(words).rstrip(" ,;:-")


def _bare(word: str) -> str:
    return word.strip("()[].,;:&-*+").lower()


def _points(word: str) -> bool:
    return bool(_POINTER.fullmatch(_bare(word)))


def _new(text: str, said: set[str]) -> bool:
    """Whether a text says anything that was not said before."""
    key = re.sub(r"\W+", " ", _without_references(text)).strip().casefold()
    if not key or key in said:
        return False
    said.add(key)
    return True


# ------------------------------------------------------------------------------------------- the body


def parts(text: str) -> tuple[list[Block], list[str]]:
    """The blocks of a text, and the subjects of squashed commits."""
    blocks: list[Block] = []
    squashed: list[str] = []
    for lines in _chunks(text):
        if len(lines) == 1 and _SQUASHED.match(lines[0]):
            squashed.append(lines[0][1:].strip())
        elif lines[0].lstrip().startswith("```"):
            if not lines[0].strip().startswith(("```diff", "```patch")):
                blocks.append(Block("\n".join(lines)))
        elif all(re.match(r"    |\t", line) for line in lines):
            blocks.append(Block("\n".join(lines)))
        else:
            blocks += _prose(lines)
    return blocks, squashed


def _chunks(text: str) -> Iterator[list[str]]:
    """Lines between blank ones, a fenced piece of code whole; without trailers, and none after a pasted diff."""
    lines: list[str] = []
    fenced = False
    for line in [*text.split("\n"), ""]:
        if not fenced and _DIFF.match(line):
            break
        fence = line.lstrip().startswith("```")
        if fence and not fenced and lines:
            yield lines
            lines = []
        if fenced or fence:
            lines.append(line.rstrip())
            fenced = fenced != fence
            if not fenced:
                yield lines
                lines = []
        elif line.strip() and not _TRAILER.fullmatch(line.strip()) and not only_references(line):
            lines.append(line.rstrip())
        elif lines and not line.strip():
            yield lines
            lines = []
    if lines:
        yield lines


def _prose(lines: list[str]) -> Iterator[Block]:
    """Paragraphs and items of lists, those that only point elsewhere left out."""
    start = 0
    for end in range(1, len(lines) + 1):
        if end == len(lines) or _ITEM.match(lines[end]):
            joined = " ".join(line.strip() for line in lines[start:end])
            sentences = [one for one in _SENTENCE.split(joined) if not only_references(one)]
            if sentences:
                kept = "\n".join(lines[start:end])
                yield Block(kept if " ".join(sentences) == joined else " ".join(sentences), tuple(sentences))
            start = end


def shown(blocks: Iterable[Block]) -> str:
    """The blocks as Markdown: items of a list below each other, all else with a blank line between."""
    out = ""
    item = False
    for block in blocks:
        was, item = item, block.item
        out += ("\n" if was and item else "\n\n" if out else "") + block.text
    return out
