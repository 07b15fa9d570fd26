"""Which sentences about a change tell how it was made instead of what is needed: by rules, without a model.

In: a change, the repository before it; sentences that people wrote. Out: yes or no. A sentence tells the implementation
when it

- names what only the solution has: a name that its new lines bring, and that neither the repository before it nor the
  change's tests and documents have. A sentence that asks for something new (`add …`, `support …`) may name what is
  public;
- says what to do to a private name (`_x`) or to a file that the solution changes: `add … to _x`, `update … in a.py`; a
  title may, since where something is wrong is part of the need;
- quotes code that stands in the solution's new lines and nowhere else in the change;
- says that code is rearranged: `refactor …`, `clean up …`, and with a name that stands in the changed lines
  `flatten …`, `simplify …`; with one that no test has `move …`, `replace … with …`, `use … instead of …` and the like;
- says where or by what it was done: `… is done in …`, `the fix is …`, `this commit moves …`.

What tests use is the interface that they ask for, so its name may stand; built-in types, errors and constants, and
special methods (`__len__`) belong to the language.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from katcore.records import Change
from katcore.source.diff import FileDiff, read_patch

_DOCUMENTS = re.compile(
    r".*\.(md|rst|txt|adoc|html)|(.*/)?(docs?|changes|changelog\.d|newsfragments)/.*", re.IGNORECASE
)
_FILE = re.compile(r"[\w-]+\.pyi?\b")
_NAME = re.compile(r"[^\W\d]\w*")
_CODE = re.compile(
    r"`+(?P<quoted>[^`]+)`+|(?P<bare>\.?(?:[^\W\d]\w*\.)*(?:\w*[^\W_]_\w+|_\w+|[A-Z][a-z\d]+[A-Z]\w*)|[^\W\d][\w.]*(?=\(\)))"
)
"""What looks like code in prose: quoted, `with_underscores`, `InCamelCase`, `called()`."""
_KNOWN = frozenset(
    name
    for name, value in vars(builtins).items()
    if value in (None, True, False) or (isinstance(value, type) and not name.startswith("_"))
) | {"self", "cls"}
LONGEST = 200
"""The fewest letters without a space that are too many for a name."""
SHORTEST = 3
"""The fewest letters of a name that is looked for."""

_ADDS = re.compile(
    r"(?:add|implement|introduc|expos|provid|support|allow|accept|emit|rais|deprecat|new|export|enabl|mak|handl"
    r"|tolerat|ignor|reject|respect|warn)",
    re.IGNORECASE,
)
_ORDERS = re.compile(
    r"(?:add|updat|remov|chang|mak|us|set|pass|call|wrap|convert|renam|replac|mov|switch|introduc|implement|put|return"
    r"|stor|drop|creat|modif|extend|fix|adjust|import|let|have|teach)(?:e|es|s|d|ed|ing|y|ies|ied|ting|ped)?\b",
    re.IGNORECASE,
)
_ALWAYS = re.compile(
    r"(?:refactor|restructur|reorgani[sz]|re-?writ|rewrote|clean(?:ed|s|ing|)[ -]?up|tid(?:y|ied)|moderni[sz]|dedup"
    r"|de-dup|factor(?:ed|s|ing|) out|fix(?:ed)? by \w+ing\b"
    r"|(?:simplif|mov|split|extract|merg|pull|break|separat"
    r"|remov\w+ (?:repeat|duplicat|redundan|unus|dead|unnecess))\w*"
    r" .*\b(?:logic|code|implementations?|internals|methods?|functions?|class(?:es)?|modules?|helpers?|files?)\b)",
    re.IGNORECASE,
)
_OF_CODE = re.compile(r"(?:flatten|extract|inlin|hoist|reus|consolidat|collaps|simplif)", re.IGNORECASE)
_OF_INTERNALS = re.compile(
    r"(?:mov(?:e|ing)|unif[iy]|merg(?:e|ing)\w* .* into\b|split\w* .* (?:into|out)\b|replac\w+ .* (?:with|by)\b"
    r"|us(?:e|ing)\w* .* (?:instead of|rather than|for|to)\b|switch\w* .*\bto\b|convert\w* .* (?:to|into)\b"
    r"|wrap\w* .* (?:in|into|with)\b)",
    re.IGNORECASE,
)
_DONE = re.compile(
    r"\b(?:is|are|was|were) (?:now )?(?:done|implemented|achieved) (?:in|by|via|with|through)\b"
    r"|\b(?:the|this) fix (?:is|was|uses|adds|now)\b"
    r"|\b(?:th(?:is|e) (?:commit|change|patch|pr|pull request)|we) (?:now )?"
    r"(?:refactor|rewrit|restructur|mov|extract|inlin|replac)\w*",
    re.IGNORECASE,
)
_START = re.compile(
    r"(?:\W*(?:[-*+]|\d{1,9}[.)])\s+)?(?:[\w./-]+: )?(?:also|now|and|then|just|properly)?\s*", re.IGNORECASE
)


@dataclass(frozen=True)
class Solution:
    """A change, asked whether sentences tell how it was made; `base` has the names that the code before it has."""

    change: Change
    base: Callable[[Collection[str]], Collection[str]] = lambda names: frozenset()

    def told_by(self, sentence: str, *, title: bool = False) -> bool:
        """Whether a sentence tells the implementation."""
        names, quotes = _code_in(sentence)
        main = sentence[_START.match(sentence).end() :]  # type: ignore[union-attr]
        if _ALWAYS.match(main) or _DONE.search(sentence) or any(map(self._quoted, quotes)):
            return True
        if names & self._touched and (_OF_CODE.match(main) or (_OF_INTERNALS.match(main) and names - self._tested)):
            return True
        if not title and _ORDERS.match(main) and (self._inside(names) or self._files & set(_FILE.findall(sentence))):
            return True
        brought = {name for name in names & self._brought if _private(name) or not _ADDS.match(main)}
        return bool(brought - set(self.base(brought))) if brought else False

    def _inside(self, names: Collection[str]) -> bool:
        """Whether one of the names is a private one of the changed lines, and in no test."""
        return any(_private(name) and name in self._touched - self._tested for name in names)

    def tells_code(self, lines: Iterable[str]) -> bool:
        """Whether a piece of code has a line that the solution adds and that nothing else has."""
        return any(map(self._quoted, lines))

    def _quoted(self, text: str) -> bool:
        squeezed = "".join(text.split())
        code = len(_NAME.findall(text)) > 1 and not re.fullmatch(r"[\w.]+(\(\))?", squeezed)
        return code and squeezed in self._added_text and squeezed not in self._other_text

    @cached_property
    def _sides(self) -> tuple[list[str], list[str], list[str]]:
        """Lines of the source patch: those that code gains, those that it had, those of documents."""
        gained, had, documents = list[str](), list[str](), list[str]()
        for diff in _files(self.change.patch):
            for sign, line in _lines(diff):
                (documents if _DOCUMENTS.fullmatch(diff.name) else gained if sign == "+" else had).append(line)
        return gained, had, documents

    @cached_property
    def _files(self) -> frozenset[str]:
        """The names of the code files that the solution changes, without folders."""
        return frozenset(PurePosixPath(diff.name).name for diff in _files(self.change.patch)) - {"__init__.py"}

    @cached_property
    def _tests(self) -> list[str]:
        return [line for diff in _files(self.change.test_patch) for _, line in _lines(diff)]

    @cached_property
    def _tested(self) -> frozenset[str]:
        return _names(self._tests)

    @cached_property
    def _touched(self) -> frozenset[str]:
        """The names in lines that the change shows."""
        return _names(self._sides[0]) | _names(self._sides[1])

    @cached_property
    def _brought(self) -> frozenset[str]:
        """The names that new lines have, and nothing else that is shown."""
        gained, had, documents = map(_names, self._sides)
        new = gained - had - documents - self._tested - _KNOWN
        return frozenset(name for name in new if len(name) >= SHORTEST and (_private(name) or not name.startswith("_")))

    @cached_property
    def _added_text(self) -> str:
        return "\n".join("".join(line.split()) for line in self._sides[0])

    @cached_property
    def _other_text(self) -> str:
        return "\n".join("".join(line.split()) for line in (*self._sides[1], *self._sides[2], *self._tests))


def _files(patch: str) -> list[FileDiff]:
    return read_patch(patch.encode("utf-8", "surrogateescape"))


def _lines(diff: FileDiff) -> Iterator[tuple[str, str]]:
    """(sign, line) of a file's patch; the text that git shows beside `@@` counts as a line too."""
    for hunk in diff.hunks:
        yield " ", hunk.header.partition(b"@@")[2].partition(b"@@")[2].decode("utf-8", "replace")
        for line in hunk.lines:
            yield line[:1].decode(), line[1:].decode("utf-8", "replace")


def _private(name: str) -> bool:
    return name.startswith("_") and not re.fullmatch("__.*__", name)


def _names(lines: Iterable[str]) -> frozenset[str]:
    return frozenset(name for line in lines for name in _NAME.findall(line))


def _code_in(sentence: str) -> tuple[frozenset[str], list[str]]:
    """The names that a sentence has, and the pieces of code that it quotes."""
    names: set[str] = set()
    quotes: list[str] = []
    for found in _CODE.finditer(re.sub(rf"\S{{{LONGEST},}}", " ", sentence)):
        text = found["quoted"] or found["bare"]
        names |= set(_NAME.findall(re.sub(r"'[^']*'|\"[^\"]*\"", "", text)))
        if found["quoted"]:
            quotes.append(text)
    return frozenset(names), quotes


def names_below(folder: Path, names: Collection[str]) -> set[str]:
    """Which of the names some code file below a folder has."""
    found: set[str] = set()
    for path in sorted(folder.rglob("*.py*")):
        if path.suffix in (".py", ".pyi", ".pyx") and path.is_file() and not path.is_symlink():
            found |= set(_NAME.findall(path.read_text("utf-8", "replace"))) & set(names)
    return found
