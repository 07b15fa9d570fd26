"""Set-up commands: what an installation of the project would add to its checkout, made in the box before the tests.

In: a `Manifest`. Out: shell commands for the workdir. The project is never installed: it is imported from the checkout,
so that the tests see the patch. What is missing then is its metadata (`importlib.metadata`, entry points, scripts),
files that a build would write with the version in them, and compiled extensions.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from katcore.build_env.manifest import Manifest
from katcore.sandbox import ENV

SITE = "/tmp/kat-site"


def setup_commands(manifest: Manifest) -> Iterator[str]:
    """The shell commands that set the project up in a box: metadata, then version files, then extensions."""
    if re.fullmatch(r"[A-Za-z0-9][\w.-]*", manifest.name):
        yield from _metadata(manifest)
    for path in manifest.version_files:
        if ".." not in path and not path.startswith("/"):
            yield _version_file(path, manifest.version or "0.0.0")
    if manifest.extensions:
        yield f"{ENV}/bin/python setup.py --quiet build_ext --inplace"


def _metadata(manifest: Manifest) -> Iterator[str]:
    version = manifest.version if re.fullmatch(r"[\w.!+-]+", manifest.version) else "0.0.0"
    info = f"{SITE}/{re.sub(r'[-_.]+', '_', manifest.name)}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {manifest.name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {line}" for line in manifest.dependencies]
    yield _write(f"{info}/METADATA", lines)
    points = {group: entries for group, entries in manifest.entry_points.items() if entries}
    if points:
        text: list[str] = []
        for group, entries in points.items():
            text += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()), ""]
        yield _write(f"{info}/entry_points.txt", text)
    for name, target in points.get("console_scripts", {}).items():
        found = re.fullmatch(r"([\w.]+)\s*:\s*([\w.]+)(\s*\[.*\])?", target)
        if found and re.fullmatch(r"[\w.-]+", name):
            yield _script(name, found.group(1), found.group(2))


def _script(name: str, module: str, function: str) -> str:
    top = function.split(".")[0]
    lines = [f"#!{ENV}/bin/python", "import sys", f"from {module} import {top}", f"sys.exit({function}())"]
    path = f"{SITE}/bin/{name}"
    return f"{_write(path, lines)} && chmod 755 {shlex.quote(path)}"


def _version_file(path: str, version: str) -> str:
    numbers = ", ".join(re.findall(r"\d+", version.split("+")[0])[:3])
    lines = [f"__version__ = version = {version!r}", f"__version_tuple__ = version_tuple = ({numbers},)"]
    return f"[ -e {shlex.quote(path)} ] || {{ {_write(path, lines)}; }}"


def _write(path: str, lines: list[str]) -> str:
    folder = path.rpartition("/")[0]
    make = f"mkdir -p {shlex.quote(folder)} && " if folder else ""
    return f"{make}printf '%s\\n' {shlex.join(lines)} > {shlex.quote(path)}"
