"""Test files of languages without a parser here, with wrong expectations: by words, strings and comments left alone.

In: the text of a test file, its language's words (`languages.py`) and the tests that matter. Out: the same text with
each assertion made wrong (`rules.py`), and a failing first line in tests that have none. No line is added or removed.
Nothing is known of types and meaning: a file may not compile then, which only a run tells.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

MAX_CHARACTERS = 500_000
"""The most characters of a file that is mutated: no file of tests is longer."""
REACH = 4_000
"""Characters within which a bracket must close: no assertion is longer, and a file may be made of open ones."""
_PAIRS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Edit:
    """One edit: replaces the characters from `start` to `end`, part of the assertion that begins at `at`."""

    start: int
    end: int
    new: str
    at: int


@dataclass(frozen=True)
class Code:
    """A source file; `code` is `text` with comments blank and strings made of quotes, character for character."""

    text: str
    code: str

    def part(self, span: tuple[int, int]) -> str:
        return self.text[span[0] : span[1]]

    def arguments(self, bracket: int) -> list[tuple[int, int]]:
        """The places of what stands between the bracket that opens here and the one that closes it, by its commas."""
        found, start = list[tuple[int, int]](), bracket + 1
        while (end := self.closing(bracket, start)) is not None:
            value = self.text[start:end]
            first = start + len(value) - len(value.lstrip())
            if value.strip():
                found.append((first, first + len(value.strip())))
            if self.code[end] != ",":
                return found
            start = end + 1
        return []

    def closing(self, bracket: int, start: int | None = None, stop: str = ",") -> int | None:
        """Where the bracket closes, or, read on from `start`, one of the characters `stop` comes first at its depth."""
        depth = [_PAIRS[self.code[bracket]]]
        for index in range(bracket + 1 if start is None else start, min(bracket + REACH, len(self.code))):
            character = self.code[index]
            if len(depth) == 1 and start is not None and character in stop:
                return index
            if character in _PAIRS:
                depth.append(_PAIRS[character])
            elif character in ")]}":
                if depth.pop() != character:
                    return None
                if not depth:
                    return index
        return None


Rule = Callable[[Code], Iterator[Edit]]
"""A rule finds assertions in a source and yields the edits that make them wrong."""


@dataclass(frozen=True)
class Language:
    """`aside`: comments and strings, the latter as the group `string`.

    `tests`: patterns of a test's head (group `name`, a word or a string, may be missing; the match ends where its body
    begins where it has a group `body`). `lines`: first lines that fail there, each after words that the head or the
    file has where it fits; an assertion comes before an exception, since code under test that has patched assertions
    lets those pass alone. `\\g<t>` is the head's group `t`."""

    aside: re.Pattern[str]
    rules: tuple[Rule, ...]
    tests: tuple[re.Pattern[str], ...]
    lines: tuple[tuple[str, str], ...]


def mutated_words(
    language: Language, text: str, tests: Iterable[str], shown: str = "", plain: bool = False
) -> tuple[str, list[str]]:
    """The text with wrong expectations, and those of the tests (ids) that it has and that have one, as far as names
    tell. A line that is in `shown` too keeps what it expects. `plain`: no expectation changes, each test gets a failing
    first line."""
    if len(text) > MAX_CHARACTERS:
        return text, []
    code = Code(text, _code(language, text))
    first: dict[int, Edit] = {}
    for edit in [] if plain else (edit for rule in language.rules for edit in rule(code)):
        first.setdefault(edit.at, edit)  # two would make it right again
    seen = {line.strip() for line in shown.split("\n")} - {""}
    edits, names = [edit for edit in first.values() if _line(text, edit.at) not in seen], set[str]()
    starts, all_starts = (sorted(edit.start for edit in some) for some in (edits, first.values()))
    for head, end in _heads(language, code):
        inside = _any(starts, head.start(), end)
        known = _any(all_starts, head.start(), end) or _line(text, head.start()) in seen
        if not inside and not known and head["body"] is not None:
            line = next(
                line for words, line in language.lines if re.search(words, head[0]) or re.search(words, code.code)
            )
            edits.append(Edit(head.end(), head.end(), " " + head.expand(line), head.end()))
            inside = True
        if inside:
            names.add(_name(code, head))
    found = sorted({test for test in tests if any(_is(test, name) for name in names - {""})})
    return _applied(text, edits), found


def _any(places: Sequence[int], start: int, end: int) -> bool:
    """Whether one of the sorted places lies in [start, end)."""
    return bisect_left(places, end) > bisect_left(places, start)


def _line(text: str, at: int) -> str:
    end = text.find("\n", at)
    return text[text.rfind("\n", 0, at) + 1 : end if end >= 0 else len(text)].strip()


def _code(language: Language, text: str) -> str:
    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " " if match["string"] is None else '"', match[0])

    return language.aside.sub(blank, text)


def _heads(language: Language, code: Code) -> list[tuple[re.Match[str], int]]:
    """The head of each test, and the place where the next one begins."""
    heads = [match for pattern in language.tests for match in pattern.finditer(code.code)]
    heads.sort(key=lambda head: head.start())
    ends = [*(head.start() for head in heads), len(code.code)][1:]
    return list(zip(heads, ends, strict=True))


def _name(code: Code, head: re.Match[str]) -> str:
    if "name" not in head.re.groupindex or head["name"] is None:
        return ""
    name = code.text[head.start("name") : head.end("name")].strip("\"'`")
    return re.sub(r"\s*,\s*", ".", name) if head["name"][:1] != '"' else name


def _is(test: str, name: str) -> bool:
    """Whether an id is that of a test of this name: the last part, or the end of a title, parameters left out."""
    last = test.rpartition("::")[2]
    return (
        last == name
        or last.startswith(tuple(name + mark for mark in "/[({ "))
        or test.endswith((f" {name}", f"::{name}"))
    )


def _applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits made, from the end on; one that overlaps another is left out."""
    free = len(text)
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        if edit.end <= free:
            text = text[: edit.start] + edit.new + text[edit.end :]
            free = edit.start
    return text
