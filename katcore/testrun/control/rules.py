"""What makes an assertion wrong, whatever the language: another value, a denied condition, the opposite word.

Another value comes first: code under test may have patched the very assertion that its tests use, so that it always
passes, and not its opposite.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from katcore.testrun.control.words import REACH, Code, Edit, Rule

Change = tuple[int, int, str]
"""(start, end, new text): characters of the source that are replaced."""
Otherwise = Callable[[re.Match[str]], Change | None]
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?P<fraction>\.\d+)?(?P<kind>(?![xXbBoOeE])[a-zA-Z_]\w*)?")
_BOOL = {"true": "false", "false": "true"}


@dataclass(frozen=True)
class Values:
    """Where assertions have values that can be changed: `words`, a pattern of those that compare for equality, and the
    positions of their arguments, tried in turn; `quotes` of a string in the language; `wrap`, where any value can stand
    for any other, what is put around the first of the positions; `denied`, a pattern of those whose first argument is a
    condition; `message_first`: three arguments with a string in front may begin with a message."""

    words: str
    positions: Sequence[int] = (0, 1)
    quotes: str = '"'
    wrap: str = ""
    denied: str = "(?!)"
    message_first: bool = False


def opposite(pairs: Mapping[str, str]) -> Otherwise:
    """A change that replaces the group `word` by its opposite."""
    both = {**pairs, **{b: a for a, b in pairs.items() if b not in pairs}}

    def otherwise(match: re.Match[str]) -> Change | None:
        other = both.get(match["word"])
        return None if other is None else (match.start("word"), match.end("word"), other)

    return otherwise


def flipped(word: str) -> Otherwise:
    """A change of the group `it`, which is `word` or empty, to the other of the two."""
    return lambda match: (match.start("it"), match.end("it"), "" if match["it"] else word)


def asserted(pattern: str, otherwise: Otherwise, values: Values) -> Rule:
    """A rule for assertions: the pattern ends with the opening bracket and has a group `word`, and maybe `it`, which
    says that the assertion is negated. A value changes where `values` says how, else `otherwise` does."""
    find = re.compile(pattern)

    def rule(code: Code) -> Iterator[Edit]:
        for match in find.finditer(code.code):
            negated = "it" in find.groupindex and match["it"]
            change = None if negated else _value(code, match["word"], match.end() - 1, values)
            if change := change or otherwise(match):
                yield Edit(*change, match.start())

    return rule


def _value(code: Code, word: str, bracket: int, values: Values) -> Change | None:
    denies = re.fullmatch(values.denied, word)
    if not denies and not re.fullmatch(values.words, word):
        return None
    spans = code.arguments(bracket)
    if denies and spans:
        return *spans[0], f"!({code.part(spans[0])})"
    if values.message_first and len(spans) > 2 and code.part(spans[0]).startswith('"'):
        return None
    where = [spans[position] for position in values.positions if position < len(spans)]
    for span in where:
        if new := _other(code.part(span), code.code[slice(*span)], values.quotes):
            return *span, new
    return (*where[0], values.wrap.format(code.part(where[0]))) if where and values.wrap else None


def _other(value: str, code: str, quotes: str) -> str | None:
    """Another literal for `value`; None where it is not a single literal of a known kind."""
    if value in _BOOL:
        return _BOOL[value]
    if number := _NUMBER.fullmatch(value):
        end = number.end("fraction") if number["fraction"] else len(value) - len(number["kind"] or "")
        return str(float(value[:end]) + 1 if number["fraction"] else int(value[:end]) + 1) + value[end:]
    if len(value) > 1 and value[0] in quotes and value[0] == value[-1] and code.strip('"') == "":
        return f"{value[0]}s{value[1:]}"
    return None


def opposites(pattern: str, pairs: Mapping[str, str]) -> Rule:
    """A rule for words that have an opposite: `pattern` finds them, with `WORD` where they stand."""
    return asserted(worded(pattern, pairs), opposite(pairs), Values("(?!)"))


def worded(pattern: str, pairs: Mapping[str, str]) -> str:
    """The pattern with `WORD` replaced by an alternation of all the words in `pairs`."""
    words = sorted({*pairs, *pairs.values()}, key=len, reverse=True)
    return pattern.replace("WORD", f"(?P<word>{'|'.join(re.escape(word) for word in words)})")


def replaced(pattern: str, new: Callable[[re.Match[str]], str]) -> Rule:
    """A rule that replaces the group `it` of each match."""
    find = re.compile(pattern, re.MULTILINE)

    def rule(code: Code) -> Iterator[Edit]:
        for match in find.finditer(code.code):
            yield Edit(match.start("it"), match.end("it"), new(match), match.start())

    return rule


def denied(pattern: str, before: str = "!(", last: bool = False, then: str = "") -> Rule:
    """A rule for assertions of a condition: the first argument (or the last) after the match, which ends with its
    opening bracket, gets `before` and a bracket around it, where `then` follows the whole list."""
    find, follows = re.compile(pattern), re.compile(then)

    def rule(code: Code) -> Iterator[Edit]:
        for match in find.finditer(code.code):
            spans, end = code.arguments(match.end() - 1), code.closing(match.end() - 1)
            if spans and end and follows.match(code.code, end + 1):
                span = spans[-1 if last else 0]
                yield Edit(*span, before + code.part(span) + ")", match.start())

    return rule


def failing_if(failure: str) -> Rule:
    """A rule for `if CONDITION {` whose block fails the test itself, as Go's tests say it: the condition is denied."""
    find, fails = re.compile(r"\bif\b"), re.compile(failure)

    def rule(code: Code) -> Iterator[Edit]:
        for match in find.finditer(code.code):
            if not (condition := _condition(code.code, match.end())):
                continue
            start, brace = condition
            end = code.closing(brace, brace + 1, "{")  # a block inside: whose failure is another condition's
            if end is not None and fails.search(code.code, brace, end):
                text = code.text[start:brace].strip()
                yield Edit(start, brace, f" !({text}) ", match.start())

    return rule


def _condition(code: str, start: int) -> tuple[int, int] | None:
    """The place of an `if`'s condition: from behind its last `;` to its `{`, both outside of brackets."""
    depth = 0
    for index in range(start, min(start + REACH, len(code))):
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
