"""From git's patch between two states to the fields of a change: source and test patch, files, languages.

In: the patch in bytes, and a way to ask git again for single files. Out: `Parts`. Both kinds of mining use it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from katcore.mine.languages import AMBIGUOUS, language, main_language
from katcore.mine.patches import Redo, added, lossless, shown
from katcore.mine.testfiles import is_test
from katcore.records import Labels
from katcore.source.diff import FileDiff, read_patch
from katcore.source.quoting import readable


@dataclass(frozen=True)
class Parts:
    """The two sides of a change, source and tests. `languages` are bytes added per language, both sides together."""

    patch: str = ""
    test_patch: str = ""
    files: list[str] = field(default_factory=list)
    languages: dict[str, int] = field(default_factory=dict)
    labels: Labels = field(default_factory=Labels)


def parts(patch: bytes, redo: Redo) -> Parts:
    """The sides of a patch; `redo` makes parts of it again where a text cannot hold them."""
    return parts_of(clean(patch, redo))


def clean(patch: bytes, redo: Redo) -> list[FileDiff]:
    """The files of a patch, each valid UTF-8 and each either source or test."""
    return lossless(read_patch(patch), _crosses, redo)


def parts_of(diffs: list[FileDiff]) -> Parts:
    """Sort files to their sides and count what they add."""
    source: list[FileDiff] = []
    tests: list[FileDiff] = []
    for diff in diffs:
        (tests if is_test(diff.name) else source).append(diff)
    in_source, in_tests = _languages(source, diffs), _languages(tests, diffs)
    every = in_source if not in_tests else {n: in_source.get(n, 0) + in_tests.get(n, 0) for n in in_source | in_tests}
    return Parts(
        patch=_joined(source),
        test_patch=_joined(tests),
        files=sorted({readable(path) for diff in diffs for path in (diff.old, diff.new) if path is not None}),
        languages={name: every[name] for name in sorted(every) if every[name]},
        labels=Labels(language=main_language(in_source) or main_language(in_tests)),
    )


def _crosses(diff: FileDiff) -> bool:
    return is_test(readable(diff.old or b"")) != is_test(readable(diff.new or b""))


def _joined(diffs: list[FileDiff]) -> str:
    return b"".join(diff.raw for diff in diffs).decode()


@lru_cache(maxsize=1 << 16)
def _suffix(path: bytes) -> str:
    name = readable(path.rpartition(b"/")[2]).lower()
    return "." + name.rpartition(".")[2] if "." in name else ""


def _languages(diffs: list[FileDiff], every: list[FileDiff]) -> dict[str, int]:
    """Bytes added per language; 0 for one that only loses lines and may still be the main one."""
    found: dict[str, int] = {}
    for diff in diffs:
        if name := _language(diff, every):
            found[name] = found.get(name, 0) + sum(len(line) + 1 for line in added(diff))
    return found


def _language(diff: FileDiff, every: list[FileDiff]) -> str:
    suffix = _suffix(diff.path)
    if not suffix:
        return language(diff.name, b"\n".join(added(diff))[:200])
    if suffix in AMBIGUOUS:
        return language(diff.name, shown(diff), {_suffix(other.path) for other in every})
    return _by_name(diff.name)


_by_name = lru_cache(maxsize=1 << 16)(language)
