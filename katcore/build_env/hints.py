"""What the files around a project tell of its tests' needs: requirements files, tox, CI workflows.

In: a folder. Out: requirement lines and names of extras. Nothing is run; includes may not leave the folder. CI files
are scanned for `pip install` lines only: they are shell inside YAML, and no parser knows which job runs the tests.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from katcore.build_env.manifest import requirements, text_of
from katcore.build_env.setuptools import ini_of, lines_of

TEST_FILES = (
    "requirements-test.txt",
    "requirements-tests.txt",
    "requirements-testing.txt",
    "requirements_test.txt",
    "requirements_tests.txt",
    "test-requirements.txt",
    "test_requirements.txt",
    "tests-requirements.txt",
    "requirements/test.txt",
    "requirements/tests.txt",
    "requirements/testing.txt",
    "requirements/pytest.txt",
    "tests/requirements.txt",
    "test/requirements.txt",
)
DEV_FILES = (
    "requirements-dev.txt",
    "requirements_dev.txt",
    "dev-requirements.txt",
    "dev_requirements.txt",
    "requirements/dev.txt",
    "requirements/development.txt",
    "requirements/ci.txt",
)
RUNTIME_FILES = ("requirements.txt", "requirements/base.txt", "requirements/main.txt", "requirements.in")


@dataclass
class Hints:
    """Requirement lines by how surely they belong to the tests, and extras that somebody installs for them."""

    test: list[str] = field(default_factory=list)
    dev: list[str] = field(default_factory=list)
    runtime: list[str] = field(default_factory=list)
    extras: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)


def hints(folder: Path) -> Hints:
    """The hints of all files around the manifest: requirements files, tox, continuous integration."""
    out = Hints()
    for names, into in ((TEST_FILES, out.test), (DEV_FILES, out.dev), (RUNTIME_FILES, out.runtime)):
        for name in names:
            into += requirements(_file(folder, folder / name, ()))
    _tox(folder, out)
    _workflows(folder, out)
    return out


def _file(folder: Path, path: Path, above: tuple[Path, ...]) -> Iterator[str]:
    """The lines of a requirements file and of those it includes with `-r`."""
    if path in above or not path.resolve().is_relative_to(folder.resolve()):
        return
    text = text_of(path).replace("\\\n", " ")
    for line in lines_of(text):
        if found := re.match(r"(?:-r|--requirement)[ =]?\s*(\S+)", line):
            yield from _file(folder, path.parent / found.group(1), (*above, path))
        elif not line.startswith("-"):
            yield re.sub(r"\s+--(hash|config-settings|global-option)\S*", "", line).strip()


def _tox(folder: Path, out: Hints) -> None:
    """The dependencies, extras and groups of tox's plain test environment; `py311: name` factors lose their factor."""
    ini = ini_of(folder / "tox.ini")
    sections = [s for s in ini.sections() if s == "testenv" or re.match(r"testenv:(py\d*|tests?|unit)", s)]
    for section in sections:
        for line in lines_of(ini.get(section, "deps", fallback="")):
            line = re.sub(r"^[\w,{}.!-]+:\s+", "", line.replace("{toxinidir}/", ""))
            if found := re.match(r"(?:-r|--requirement)\s*(\S+)", line):
                out.test += requirements(_file(folder, folder / found.group(1), ()))
            elif not line.startswith("-"):
                out.test += requirements([line])
        for key, into in (("extras", out.extras), ("dependency_groups", out.groups)):
            into += [
                name.strip() for name in re.split(r"[\n,]", ini.get(section, key, fallback="") or "") if name.strip()
            ]


def _workflows(folder: Path, out: Hints) -> None:
    names = [*folder.glob(".github/workflows/*.y*ml"), folder / ".travis.yml", folder / ".gitlab-ci.yml"]
    for path in sorted(names):
        for found in re.finditer(r"\bpip3? install (.+)$", text_of(path), re.MULTILINE):
            _pip_line(folder, found.group(1), out)


def _pip_line(folder: Path, line: str, out: Hints) -> None:
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        return
    for before, word in zip(["", *words], words):
        if before in ("-r", "--requirement") and "$" not in word:
            out.dev += requirements(_file(folder, folder / word, ()))
        elif before == "--group":
            out.groups.append(word)
        elif found := re.fullmatch(r"\.\[([\w., -]+)\]", word):
            out.extras += [name.strip() for name in found.group(1).split(",")]
