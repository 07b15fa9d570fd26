"""From git's patch between two states to the fields of a change: source and test patch, files, languages.

In: the patch in bytes, and a way to ask git again for single files. Out: `Parts`. Both kinds of mining use it.

A file belongs to the tests where its path says so: test code by its name, and everything in a folder of tests, data
included, whatever its name is written in (`testfiles.py`). Elsewhere so does a new file that is no code, that the tests
name and the sources do not, and that lies below no folder of the changed code: somebody who never sees the tests cannot
bring it, and must not fail for want of it. A file that was there before stays with the sources, and so does a package's
own data.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache

from katcore.mine.languages import AMBIGUOUS, MAIN, facts, language, main_language
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
        (tests if is_test(os.fsdecode(diff.path)) else source).append(diff)
    if data := _data_of_tests(source, tests, diffs):
        source = [diff for diff in source if diff.path not in data]
        tests = [diff for diff in diffs if diff.path in data or is_test(os.fsdecode(diff.path))]
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
    return is_test(os.fsdecode(diff.old or b"")) != is_test(os.fsdecode(diff.new or b""))


def _data_of_tests(source: list[FileDiff], tests: list[FileDiff], every: list[FileDiff]) -> frozenset[bytes]:
    """Paths of new files among the sources that serve the tests, as said above; none if no code would be left."""
    new = [diff for diff in source if diff.old is None] if tests else []
    asked = b"\n".join(line for diff in tests for line in added(diff)) if new else b""
    found = [diff for diff in new if _names(asked, diff) and _kind(diff, every) != "programming"]
    if not found:
        return frozenset()
    wanted = {diff.path for diff in found} - {diff.old for diff in every}
    rest = [(diff, _kind(diff, every)) for diff in source if diff.path not in wanted]
    told = b"\n".join(shown(diff) for diff, kind in rest if kind != "prose")
    code = {diff.path.rpartition(b"/")[0] for diff, kind in rest if kind == "programming"}
    packages = tuple(folder + b"/" for folder in code if folder)
    named = [diff for diff in found if diff.path in wanted and not _names(told, diff)]
    return frozenset(diff.path for diff in named if code and not diff.path.startswith(packages))


def _names(text: bytes, diff: FileDiff) -> bool:
    """Whether a file is named by its own name, which must have a suffix: without one it is a word like others."""
    name = diff.path.rpartition(b"/")[2]
    return b"." in name[1:] and bool(re.search(rb"(?<![\w.-])" + re.escape(name) + rb"(?![\w-])", text))


def _kind(diff: FileDiff, every: list[FileDiff]) -> str:
    """Linguist's kind of a file: programming, markup, data, prose; empty for one that nobody knows."""
    name = _language(diff, every)
    return "programming" if name in MAIN else facts().kinds.get(name, "")


def _joined(diffs: list[FileDiff]) -> str:
    return b"".join(diff.raw for diff in diffs).decode()


@lru_cache(maxsize=1 << 16)
def _suffix(path: bytes) -> str:
    name = os.fsdecode(path.rpartition(b"/")[2]).lower()
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
        return language(os.fsdecode(diff.path), b"\n".join(added(diff))[:200])
    if suffix in AMBIGUOUS:
        return language(os.fsdecode(diff.path), shown(diff), {_suffix(other.path) for other in every})
    return _by_name(os.fsdecode(diff.path))


_by_name = lru_cache(maxsize=1 << 16)(language)
