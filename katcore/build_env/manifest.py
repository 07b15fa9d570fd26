"""What a Python project says about itself, read without running any of it.

In: files of a folder. Out: a `Manifest`, filled by `pyproject.py`, `poetry.py` and `setuptools.py`, which share the
readers here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

LONGEST = 2000
"""The most characters of a requirement that is read: the time of parsing markers grows with the square."""


@dataclass
class Manifest:
    """Name, version, requirements and layout; empty where the project says nothing."""

    name: str = ""
    version: str = ""
    requires_python: str = ""
    dependencies: list[str] = field(default_factory=list)
    extras: dict[str, list[str]] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    build_requires: list[str] = field(default_factory=list)
    entry_points: dict[str, dict[str, str]] = field(default_factory=dict)
    source_dirs: list[str] = field(default_factory=list)
    version_files: list[str] = field(default_factory=list)
    extensions: bool = False
    kinds: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Lines on what was left out, and why."""

    def absorb(self, other: Manifest) -> None:
        """Take from `other`, which is believed less, what is still unknown."""
        for name in ("name", "version", "requires_python"):
            if not getattr(self, name):
                setattr(self, name, getattr(other, name))
        if not self.dependencies:
            self.dependencies = other.dependencies
        if not self.build_requires:
            self.build_requires = other.build_requires
        for mine, theirs in ((self.extras, other.extras), (self.groups, other.groups)):
            for key, value in theirs.items():
                mine.setdefault(key, value)
        for group, entries in other.entry_points.items():
            self.entry_points.setdefault(group, entries)
        self.source_dirs += [folder for folder in other.source_dirs if folder not in self.source_dirs]
        self.version_files += other.version_files
        self.extensions = self.extensions or other.extensions
        self.kinds += other.kinds
        self.notes += other.notes


def text_of(path: Path) -> str:
    """A small text file inside the repository, or nothing; links are not followed."""
    if path.is_symlink() or not path.is_file() or path.stat().st_size > 1 << 20:
        return ""
    return path.read_text("utf-8", errors="replace")


def toml_of(path: Path) -> dict[str, Any]:
    """A TOML file, or nothing when it is none."""
    try:
        return tomllib.loads(text_of(path))
    except (ValueError, RecursionError):  # numbers too long are ValueErrors, not TOMLDecodeErrors
        return {}


def table(data: Any, *keys: str) -> dict[str, Any]:
    """The table below `keys`, empty when something else lies there."""
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def strings(value: Any) -> list[str]:
    """The strings of a list, or none."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def pairs(value: Any) -> dict[str, str]:
    """The entries of a table whose values are strings."""
    return {k: v for k, v in value.items() if isinstance(v, str)} if isinstance(value, dict) else {}


def requirements(lines: Iterable[str]) -> list[str]:
    """The lines that are valid requirements from an index, as they are; URLs and paths cannot be pinned by hash."""
    out = []
    for line in lines:
        if len(line) > LONGEST:
            continue
        try:
            parsed = Requirement(line.strip())
        except (InvalidRequirement, RecursionError):
            continue
        if parsed.url is None:
            out.append(str(parsed))
    return out


def name_of(requirement: str) -> str:
    """The normalised name of a requirement."""
    return canonicalize_name(Requirement(requirement).name)


def version_in(source: str) -> str:
    """The value of a literal `__version__ = "…"` or `version = "…"`."""
    found = re.search(r"^(?:__version__|VERSION|version)\s*(?::[^=\n]+)?=\s*['\"]([^'\"]+)['\"]", source, re.MULTILINE)
    return found.group(1) if found else ""


def attr_version(folder: Path, attr: str) -> str:
    """The literal that `package.module.__version__` names, looked up in the file."""
    module = attr.rpartition(".")[0].replace(".", "/")
    for root in ("", "src/", "lib/"):
        for path in (f"{root}{module}/__init__.py", f"{root}{module}.py"):
            if found := version_in(text_of(folder / path)):
                return found
    return ""
