"""Whether a text tells what is needed, or could stand over any change.

In: a change, texts that people wrote about it. Out: `Told`, how much a text says. Counted are words that say something:
neither common ones nor those of the trade (`update`, `tests`, `wip`), neither the project's name nor pointers (paths,
links, numbers of issues). A text tells a need when it has enough of them and some have to do with the change: they
stand in its patches, names there taken apart, endings taken off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from katcore.records import Change

FEW = 3
"""Of so many words that say something two must stand in the patches, of more one; a single word is never enough."""

LONGEST = 200
"""The most characters of what stands between two spaces and is still read."""

_WORD = re.compile(r"[^\W\d_]{2,}")
_ENDING = re.compile(r"(?<=...)(?:ings?|ed|e?s|er|e|ly|ion)$")
_POINTER = re.compile(
    r"https?://\S+|(?:[\w.-]+/[\w.-]+)?#\d+|\b[\w-]*[/\\][\w./\\-]+"
    r"|\b[\w-]+\.(?:py|md|rst|txt|toml|ya?ml|cfg|ini)\b"
)
_COMMON = frozenset(
    """
    a about after again all also always an and any are as at be because been before being but by can could do does
    doesn don for from get got had has have how if in into is isn it its just like made make makes may more most much
    no not now of on one only or other our out over same see set should so some still such than that the their them
    then there these they this those to too up us very via was we were what when where which while will with without
    would you your
    """.split()  # noqa: SIM905 - a list of names, one word each
)
_TRADE = frozenset(
    """
    add adjust apply autofix automated autoupdate better branch bug bugs build bump bunch change changelog chore ci
    clean cleanup code comment comments commit common copyright correct coverage date dead debug dependencies
    dependency deps dev doc docs docstring docstrings documentation enh enhancement error everything example examples
    failing feature feedback few file files final finish first fix fixed fixes fixup flake format formatting general
    hint hints housekeeping implement implementation import imports improve improvement improvements infrastructure
    initial issue issues its junk last latest license lint linter linting little main maintenance master merge minor
    misc missing modernize more move mypy nit nits old patch pep polish pr pre prepare problem problems progress
    project pull python readme ref refactor refactoring refactorings release remaining remove rename request
    requirements revert review revision ruff setup small some start stuff style suggestion suggestions suite support
    syntax test tested testing tests thing things tidy tiny tool tools tweak tweaks type types typing typo typos
    unused update updated upgrade use various version versions wip work working works
    """.split()  # noqa: SIM905 - a list of names, one word each
)
"""Words that any change could be described with, whatever it does."""


@dataclass(frozen=True)
class Told:
    """How many words of a text say something, and how many of those stand in the change's patches."""

    words: int
    in_patches: int
    apart: int
    """In how many places they stand: a name is one, however many words it has."""

    @property
    def enough(self) -> bool:
        """Whether that tells a need."""
        return self.apart >= 2 and self.words >= 2 and self.in_patches >= (2 if self.words <= FEW else 1)


@dataclass(frozen=True)
class Need:
    """A change, asked whether texts tell what it is for."""

    change: Change

    def told_by(self, text: str) -> Told:
        """How much a text says."""
        places = [self._saying(_POINTER.sub(" ", place)) for place in set(text.split()) if len(place) <= LONGEST]
        found = frozenset[str]().union(*places)
        return Told(len(found), len(found & self._in_patches), sum(map(bool, places)))

    def _saying(self, text: str) -> frozenset[str]:
        return frozenset(_stem(word) for word in _words(text) if word not in _COMMON and word not in _TRADE) - self._own

    @cached_property
    def _own(self) -> frozenset[str]:
        return frozenset(map(_stem, _words(self.change.repo)))

    @cached_property
    def _in_patches(self) -> frozenset[str]:
        return frozenset(_stem(word) for patch in (self.change.patch, self.change.test_patch) for word in _words(patch))


def _words(text: str) -> Iterator[str]:
    """The words of a text in lower case, names taken apart: `maxValue`, `max_value`."""
    apart = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return (word.lower() for word in _WORD.findall(apart))


def _stem(word: str) -> str:
    return _ENDING.sub("", word)
