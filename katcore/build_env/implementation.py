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
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from katcore.build_env.patch_lines import Lines, lines_of, names_in
from katcore.records import Change

_FILE = re.compile(r"(?!__init__)\b[\w-]+\.pyi?\b")
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
        places = self._inside(names) or not self._source.files.isdisjoint(_FILE.findall(sentence))
        if places and not title and _ORDERS.match(main):
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
        squeezed = _squeezed([text])
        code = len(names_in([text])) > 1 and not re.fullmatch(r"[\w.]+(\(\))?", squeezed)
        return code and squeezed in self._new_code and squeezed not in self._other_code

    @cached_property
    def _source(self) -> Lines:
        return lines_of(self.change.patch)

    @cached_property
    def _tests(self) -> list[str]:
        lines = lines_of(self.change.test_patch)
        return [*lines.added, *lines.removed, *lines.around, *lines.documents]

    @cached_property
    def _tested(self) -> frozenset[str]:
        return names_in(self._tests)

    @cached_property
    def _touched(self) -> frozenset[str]:
        """The names in lines of code that the change shows."""
        return names_in([*self._source.added, *self._source.removed, *self._source.around])

    @cached_property
    def _brought(self) -> frozenset[str]:
        """The names that new lines have, and nothing else that is shown."""
        had = names_in([*self._source.removed, *self._source.around, *self._source.documents])
        new = names_in(self._source.added) - had - self._tested - _KNOWN
        return frozenset(name for name in new if len(name) >= SHORTEST and (_private(name) or not name.startswith("_")))

    @cached_property
    def _new_code(self) -> str:
        return _squeezed(self._source.added)

    @cached_property
    def _other_code(self) -> str:
        return _squeezed([*self._source.removed, *self._source.around, *self._source.documents, *self._tests])


def _squeezed(lines: Iterable[str]) -> str:
    """Lines without any spaces, since those who quote code space it otherwise."""
    return "\n".join("".join(line.split()) for line in lines)


def _private(name: str) -> bool:
    return name.startswith("_") and not re.fullmatch("__.*__", name)


def _code_in(sentence: str) -> tuple[frozenset[str], list[str]]:
    """The names that a sentence has, and the pieces of code that it quotes."""
    names: set[str] = set()
    quotes: list[str] = []
    for found in _CODE.finditer(re.sub(rf"\S{{{LONGEST},}}", " ", sentence)):
        text = found["quoted"] or found["bare"]
        names |= names_in([re.sub(r"'[^']*'|\"[^\"]*\"", "", text)])
        if found["quoted"]:
            quotes.append(text)
    return frozenset(names), quotes


def names_below(folder: Path, names: Collection[str]) -> set[str]:
    """Which of the names some code file below a folder has."""
    found: set[str] = set()
    for path in sorted(folder.rglob("*.py*")):
        if path.suffix in (".py", ".pyi", ".pyx") and path.is_file() and not path.is_symlink():
            found |= names_in([path.read_text("utf-8", "replace")]) & set(names)
    return found
