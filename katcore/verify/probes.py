"""Probes for a task: changes that must earn nothing, made from its known change and its own files.

In: a task and the folder of its base. Out: named patches. `wrong`: the known change with a part missing or turned
round; tests that pass with it do not test the change. `cheat`: attacks on the grading (`probes_cheats.py`). Nothing is
run here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from katcore.records import Task
from katcore.source.diff import content, paths, read_patch, write_diff
from katcore.source.quoting import place
from katcore.verify.probes_cheats import APPENDED, FILES

Kind = Literal["noop", "gold", "wrong", "cheat"]
MOST = 3
"""The most hunks that are left out, one a probe, and the most mutants, spread evenly over the change."""
FILES_CHANGED = 20
"""The most source files into which a cheat's code is put: which of them the tests import is not known."""
RUNS = 3
"""How many times the known change is graded; it must pass each time."""
NOOP_FILE = "kat_validate_noop.txt"

_TURNED = (
    (re.compile(r"=="), "!="), (re.compile(r"!="), "=="), (re.compile(r"<="), ">"), (re.compile(r">="), "<"),
    (re.compile(r"(?<![-<=>])<(?![<=])"), ">="), (re.compile(r"(?<![-=>])>(?![=>])"), "<="),
    (re.compile(r"\bTrue\b"), "False"), (re.compile(r"\bFalse\b"), "True"), (re.compile(r"\bnot in\b"), "in"),
    (re.compile(r"\band\b"), "or"), (re.compile(r"\bor\b"), "and"), (re.compile(r"\bif (?!not\b)"), "if not "),
    (re.compile(r"(?<=\w) \+ (?=\w)"), " - "), (re.compile(r"(?<=\w) - (?=\w)"), " + "),
    (re.compile(r"\breturn (?!None\b)(.+)$"), "return None"),
)  # fmt: skip
"""Mutations of one added line; the first that applies is taken."""


@dataclass(frozen=True)
class Probe:
    """One change to grade. `run` tells repeated ones apart."""

    kind: Kind
    name: str
    patch: str
    run: int = 0


def probes(task: Task, base: Path) -> Iterator[Probe]:
    """All probes of a task, those first whose failure makes the others needless."""
    yield Probe("noop", "noop", write_diff(NOOP_FILE, None, "nothing\n"))
    for run in range(RUNS):
        yield Probe("gold", f"gold-{run + 1}", task.patch, run)
    for name, patch in wrong(task.patch).items():
        yield Probe("wrong", name, patch)
    for name, patch in cheats(task, base).items():
        yield Probe("cheat", name, patch)


def wrong(patch: str) -> dict[str, str]:
    """Wrong patches by name: the known one with a hunk left out or an added line mutated; empty without such parts."""
    out: dict[str, str] = {}
    hunks = _split(patch)
    for i in _spread(len(hunks)) if len(hunks) > 1 else ():
        out[f"without-hunk-{i + 1}"] = _joined([hunk for j, hunk in enumerate(hunks) if j != i])
    mutants = list(_mutants(patch))
    return out | {f"mutant-line-{line}": mutant for line, mutant in (mutants[i] for i in _spread(len(mutants)))}


def covers(patch: str) -> bool:
    """Whether the wrong changes leave out each hunk of the known one: only then do they speak for all of it."""
    return len(_split(patch)) <= MOST


def _spread(count: int) -> list[int]:
    """At most `MOST` indices below `count`, spread from the first to the last."""
    if count <= MOST:
        return list(range(count))
    return [i * (count - 1) // (MOST - 1) for i in range(MOST)]


def cheats(task: Task, base: Path) -> dict[str, str]:
    """Patches by name that attack the grading of this task: files that reach into the test run, code run at import."""
    out = {name: _over(base, {path: text}) for name, (path, text) in FILES.items()}
    known = frozenset(map(place, task.test_files))
    touched = [
        name for name in paths(task.patch) if name.endswith(".py") and (base / name).is_file() and name not in known
    ]
    for name, text in APPENDED.items() if touched else ():
        ids = [*task.verification.FAIL_TO_PASS, *task.verification.PASS_TO_PASS]
        code = f"\n_kat_tests = {ids[:500]!r}\n{text}"
        files = {file: _text(base / file) + code for file in touched[:FILES_CHANGED]}
        out[name] = _over(base, files)
    tests = [name for name in sorted(known) if name.endswith(".py") and (base / name).is_file()]
    if tests:
        out["deleted_tests"] = _over(base, dict.fromkeys(tests))
    return out


def _over(base: Path, files: Mapping[str, str | None]) -> str:
    """A patch that writes these files over the base's; None deletes one."""
    old = {name: _text(base / name) for name in files if (base / name).is_file()}
    return "".join(write_diff(name, old.get(name), text) for name, text in sorted(files.items()))


def _text(path: Path) -> str:
    """Every byte of it, whatever its lines end with and its letters are."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def _split(patch: str) -> list[tuple[str, str]]:
    """(file header, hunk) in the order of the patch; a file without hunks (binary, renamed) is one of its own."""
    found: list[tuple[bytes, bytes]] = []
    for diff in read_patch(patch.encode("utf-8", "surrogateescape")):
        found += [(diff.header, hunk.raw) for hunk in diff.hunks] or [(diff.raw, b"")]
    return [(head.decode("utf-8", "surrogateescape"), hunk.decode("utf-8", "surrogateescape")) for head, hunk in found]


def _joined(hunks: Sequence[tuple[str, str]]) -> str:
    """The patch of some hunks. Line numbers are not corrected for hunks left out: git finds the places itself."""
    out, last = "", None
    for head, hunk in hunks:
        out += (head if head != last else "") + hunk
        last = head
    return out


def _mutants(patch: str) -> Iterator[tuple[int, str]]:
    lines = patch.split("\n")
    for i, line in content(patch):
        if not line.startswith("+") or line[1:].lstrip().startswith(("#", '"', "'")):
            continue
        for pattern, turned in _TURNED:
            mutant = pattern.sub(turned, line, count=1)
            if mutant != line:
                yield i + 1, "\n".join([*lines[:i], mutant, *lines[i + 1 :]])
                break
