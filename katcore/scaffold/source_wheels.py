"""Wheels of pure-Python packages that an index has as source alone, made without running anything of them.

In: `NAME==VERSION` and a folder. Out: a wheel in it: the source release's modules, and its PKG-INFO as metadata. What
needs a compiler, or modules that its setup makes, cannot be had so; a KatError says it.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version

from katcore.errors import KatError
from katcore.source import archive, index

_ASIDE = ("test", "tests", "testing", "doc", "docs", "examples", "benchmarks", "scripts", "tools", "build")
"""Folders beside a package that are none of it, though they may hold modules."""
_COMPILED = (".c", ".cc", ".cpp", ".pyx", ".rs", ".f90")
_WHEEL = "Wheel-Version: 1.0\nGenerator: kat\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def write_wheels(pins: Sequence[str], folder: Path) -> None:
    """Write a wheel of each package of the list, which says `NAME==VERSION`."""
    for pin in pins:
        name, _, version = pin.partition("==")
        found = [each for each in index.releases(name) if Version(each.version) == Version(version)]
        if not found:
            raise KatError(f"there is no source release {pin}")
        _write(name, version, archive.members(index.fetch(found[0])[1]), folder)


def _write(name: str, version: str, members: Iterable[archive.Member], folder: Path) -> None:
    files = {member.path.decode("utf-8", "surrogateescape"): member.data for member in members}
    if "PKG-INFO" not in files:
        raise KatError(f"{name} {version}: its source release has no PKG-INFO")
    if any(path.endswith(_COMPILED) for path in files):
        raise KatError(f"{name} {version}: its source release has modules to compile")
    modules = _modules(files)
    if not modules:
        raise KatError(f"{name} {version}: its source release has no modules")
    plain = re.sub(r"[-_.]+", "_", canonicalize_name(name))
    info = f"{plain}-{version}.dist-info"
    entries = next((data for path, data in files.items() if path.endswith(".egg-info/entry_points.txt")), b"")
    with zipfile.ZipFile(folder / f"{plain}-{version}-py3-none-any.whl", "w") as wheel:
        for path, data in modules.items():
            wheel.writestr(path, data)
        wheel.writestr(f"{info}/METADATA", files["PKG-INFO"])
        wheel.writestr(f"{info}/WHEEL", _WHEEL)
        if entries:
            wheel.writestr(f"{info}/entry_points.txt", entries)
        wheel.writestr(f"{info}/RECORD", "")


def _modules(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files of packages and modules, by their paths in an installation; `src/` is no part of them."""
    top = "src/" if any(re.fullmatch(r"src/[^/]+/__init__\.py", path) for path in files) else ""
    below = {path.removeprefix(top): data for path, data in files.items() if path.startswith(top)}
    packages = {path.partition("/")[0] for path in below if re.fullmatch(r"[^/]+/__init__\.py", path)} - set(_ASIDE)
    single = set() if packages else {path for path in below if re.fullmatch(r"\w+\.py", path)} - {"setup.py"}
    return {path: data for path, data in below.items() if path.partition("/")[0] in packages or path in single}
