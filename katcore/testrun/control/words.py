"""Test files of languages without a parser here, with wrong expectations: by words, strings and comments left alone.

In: the text of a test file, its language's words (`languages.py`) and the tests that matter. Out: the same text with
each assertion turned into its opposite, and a failing first line in tests that have none. No line is added or removed.
Nothing is known of types and meaning: a file may not compile then, which only a run tells.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

MAX_CHARACTERS = 2_000_000
"""Of a file that is looked at: no test is longer, and patterns take their time."""
_PAIRS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True)
class Edit:
    """Replace the characters from `start` to `end`."""

    start: int
    end: int
    new: str


@dataclass(frozen=True)
class Code:
    """A source file; `code` is `text` with comments blank and strings made of quotes, character for character."""

    text: str
    code: str

    def closing(self, at: int, stop: str = "") -> int | None:
        """Where the bracket at `at` closes, or where one of the characters `stop` comes first, at its own depth."""
        depth: list[str] = []
        for index in range(at, len(self.code)):
            character = self.code[index]
            if character in stop and len(depth) == 1:
                return index
            if character in _PAIRS:
                depth.append(_PAIRS[character])
            elif character in ")]}":
                if not depth or depth.pop() != character:
                    return None
                if not depth:
                    return index
        return None


Rule = Callable[[Code], Iterator[Edit]]
"""Finds assertions and says what their opposites are."""


@dataclass(frozen=True)
class Language:
    """`aside`: comments and strings, the latter as the group `string`.

    `tests`: patterns of a test's head (group `name`, a word or a string, may be missing; the match ends where its body
    begins where it has a group `body`), each with a line that fails there (`\\g<t>` is the head's group `t`)."""

    aside: re.Pattern[str]
    rules: tuple[Rule, ...]
    tests: tuple[tuple[re.Pattern[str], str], ...]


def spoiled(language: Language, text: str, tests: Iterable[str], plain: bool = False) -> tuple[str, list[str]]:
    """The text with wrong expectations, and those of the tests (ids) that it has and that have one, as far as names
    tell. `plain`: no expectation changes, each test gets a failing first line."""
    if len(text) > MAX_CHARACTERS:
        return text, []
    code = Code(text, _code(language, text))
    edits = {} if plain else {edit.start: edit for rule in language.rules for edit in rule(code)}
    names = []
    for head, line, end in _heads(language, code):
        inside = [start for start in edits if head.start() <= start < end]
        if not inside and head["body"] is not None:
            edits[head.end()] = Edit(head.end(), head.end(), " " + head.expand(line))
            inside = [head.end()]
        if inside:
            names.append(_name(code, head))
    found = sorted({test for test in tests if any(_is(test, name) for name in names if name)})
    return _applied(text, edits.values()), found


def _code(language: Language, text: str) -> str:
    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " " if match["string"] is None else '"', match[0])

    return language.aside.sub(blank, text)


def _heads(language: Language, code: Code) -> list[tuple[re.Match[str], str, int]]:
    """The heads of tests with their failing lines and the places where the next one begins."""
    heads = [(match, line) for pattern, line in language.tests for match in pattern.finditer(code.code)]
    heads.sort(key=lambda head: head[0].start())
    ends = [*(head.start() for head, _ in heads), len(code.code)][1:]
    return [(head, line, end) for (head, line), end in zip(heads, ends, strict=True)]


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
    """Edits from the end on; one that overlaps another is left out."""
    free = len(text)
    for edit in sorted(edits, key=lambda edit: edit.start, reverse=True):
        if edit.end <= free:
            text = text[: edit.start] + edit.new + text[edit.end :]
            free = edit.start
    return text


def opposites(pattern: str, pairs: Mapping[str, str]) -> Rule:
    """A rule for words that have an opposite: `pattern` finds them, with `WORD` where they stand."""
    both = {**pairs, **{b: a for a, b in pairs.items() if b not in pairs}}
    words = "|".join(re.escape(word) for word in sorted(both, key=len, reverse=True))
    find = re.compile(pattern.replace("WORD", f"(?P<word>{words})"))

    def rule(code: Code) -> Iterator[Edit]:
        for match in find.finditer(code.code):
            yield Edit(match.start("word"), match.end("word"), both[match["word"]])

    return rule


def replaced(pattern: str, new: Callable[[re.Match[str]], str]) -> Rule:
    """A rule that replaces the group `it` of each match."""
    find = re.compile(pattern, re.MULTILINE)

    def rule(code: Code) -> Iterator[Edit]:
        for match in find.finditer(code.code):
            yield Edit(match.start("it"), match.end("it"), new(match))

    return rule


def denied(pattern: str, before: str = "!(", last: bool = False, then: str = "") -> Rule:
    """A rule for assertions of a condition: the first argument (or the last) after the match, which ends with its
    opening bracket, gets `before` and a bracket around it, where `then` follows the whole list."""
    find, follows = re.compile(pattern), re.compile(then)

    def rule(code: Code) -> Iterator[Edit]:
        for match in find.finditer(code.code):
            span, end = _argument(code, match.end() - 1, last), code.closing(match.end() - 1)
            if span and end and follows.match(code.code, end + 1) and code.text[span[0] : span[1]].strip():
                yield Edit(*span, before + code.text[span[0] : span[1]].strip() + ")")

    return rule


def _argument(code: Code, bracket: int, last: bool) -> tuple[int, int] | None:
    start, end = bracket + 1, code.closing(bracket, ",")
    while last and end is not None and code.code[end] == ",":
        # a comma of this list: what follows is read as if the bracket opened there
        following = Code(code.text, code.code[:end] + code.code[bracket] + code.code[end + 1 :]).closing(end, ",")
        start, end = end + 1, following
    return None if end is None else (start, end)


def failing_if(failure: str) -> Rule:
    """A rule for `if CONDITION {` whose block fails the test itself, as Go's tests say it: the condition is denied."""
    find, fails = re.compile(r"\bif\b"), re.compile(failure)

    def rule(code: Code) -> Iterator[Edit]:
        for match in find.finditer(code.code):
            if not (condition := _condition(code.code, match.end())):
                continue
            start, brace = condition
            end = code.closing(brace, "{")  # a block inside: whose failure is another condition's
            if end is not None and fails.search(code.code, brace, end):
                text = code.text[start:brace].strip()
                yield Edit(start, brace, f" !({text}) ")

    return rule


def _condition(code: str, start: int) -> tuple[int, int] | None:
    """From behind the last `;` of an `if` to its `{`, both outside of brackets."""
    depth = 0
    for index in range(start, len(code)):
        character = code[index]
        if character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "{" and depth == 0:
            return start, index
        elif character == ";" and depth == 0:
            start = index + 1
    return None
