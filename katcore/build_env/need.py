"""Whether a text tells what is needed, or could stand over any change.

In: a change, texts that people wrote about it. Out: `Told`, how much a text says. Counted are words that say something:
neither common ones nor those of the trade (`update`, `tests`, `wip`), neither the project's name nor pointers (paths,
links, numbers of issues). A text tells a need when it has enough of them and some have to do with the change: they
stand in its patches, names there taken apart, endings taken off.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property

from katcore.build_env.patch_lines import lines_of
from katcore.records import Change

FEW = 3
"""Of so many words that say something two must stand in the patches, of more one; a single word is never enough."""

LONGEST = 200
"""The most characters of what stands between two spaces and is still read."""

_WORD = re.compile(r"[^\W\d_]{2,}")
_ENDING = re.compile(r"(?<=...)(?:ings?|ions?|ers?|ed|e?s|e|ly)$")
_POINTER = re.compile(
    r"https?://\S+|(?:[\w.-]+/[\w.-]+)?#\d+|[\w.-]*/[\w.-]*/[\w./-]*|(?:[\w-]+/)*[\w-]+\."
    r"(?:cfg|in|ini|lock|md|py|pyi|rst|toml|txt|ya?ml)\b"
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
    add adjust apply autofix automated autoupdate better bug bugfix bugs bump bunch change changelog chore ci clean
    cleanup code correct dead dev doc docs documentation enh enhancement everything failing feedback few finish fix
    fixed fixes fixup flake general hotfix housekeeping implement implementation improve improvement improvements
    infrastructure its junk latest lint linter linting little main maintenance master minor misc modernize more move
    mypy nit nits old polish pr pre prepare problem problems readme refactor refactoring refactorings remaining remove
    rename revert ruff setup small some stuff suggestion suggestions suite support test tested testing tests thing
    things tidy tiny tweak tweaks typo typos unused update updated upgrade use various wip work works
    """.split()  # noqa: SIM905 - a list of names, one word each
)
"""Words that any change could be described with, whatever it does."""
_ALSO_TRADE = frozenset(
    """
    branch build comment comments commit common copyright coverage date debug dependencies dependency deps docstring
    docstrings error example examples feature file files final first format formatting hint hints import imports
    initial issue issues last license merge missing patch pep progress project pull python ref release request
    requirement requirements review revision start style syntax tool tools type types typing version versions working
    """.split()  # noqa: SIM905 - a list of names, one word each
)
"""Words of the trade that some projects are about: they say something where code that changes and tests have them."""


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
        stems = frozenset(_stem(word) for word in _words(text) if word not in _COMMON)
        return stems - self._own - _idle(_TRADE) - (_idle(_ALSO_TRADE) - self._about)

    @cached_property
    def _own(self) -> frozenset[str]:
        return _stems((self.change.repo,))

    @cached_property
    def _about(self) -> frozenset[str]:
        """The words of changed lines of code that tests have, too."""
        source, tests = lines_of(self.change.patch), lines_of(self.change.test_patch)
        return _stems((*source.added, *source.removed)) & _stems((*tests.added, *tests.removed, *tests.around))

    @cached_property
    def _in_patches(self) -> frozenset[str]:
        return _stems((self.change.patch, self.change.test_patch))


def _words(text: str) -> Iterator[str]:
    """The words of a text in lower case, names taken apart: `maxValue`, `max_value`."""
    apart = re.sub(r"(?<=[a-z\d])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", text)
    return (word.lower() for word in _WORD.findall(apart))


@cache
def _idle(words: frozenset[str]) -> frozenset[str]:
    """The stems of a list above."""
    return _stems(words)


def _stems(texts: Iterable[str]) -> frozenset[str]:
    return frozenset(_stem(word) for text in texts for word in _words(text))


def _stem(word: str) -> str:
    return _ENDING.sub("", word)
