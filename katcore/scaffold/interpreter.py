"""A Python of another version than that of the boxes, for agents that need one: what `python = "3.13"` of a row names.

In: a version. Out: `$KAT_CACHE/scaffold/python-3.13-x64`, mounted into boxes: `bin/python3`, which starts the real
executable with the loader and the libraries beside it (`bin/host`), and the standard library, nobody's packages.
What it starts sees nothing of that: loader and libraries are told to it, not put into the environment. It comes from
an interpreter of that version on this machine, or else from Debian's packages, which apt's client fetches and checks
into folders of the cache: nothing is installed on the machine, and it need not run that release of Debian.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from katcore.disk.cache import cache_dir, fresh, locked, publish
from katcore.errors import KatError
from katcore.scaffold.table import arch

SUITES = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie"}
"""The release of Debian that has each version."""
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_HOMES = (".pyenv/versions/{0}.*/bin/python{0}", ".local/share/uv/python/cpython-{0}.*/bin/python{0}")
"""Where installers of several Pythons put them, below the home."""
_NOT_COPIED = (
    "site-packages", "dist-packages", "sitecustomize.py", "__pycache__", "test", "tests", "idlelib", "config-*", "*.a",
)  # fmt: skip
_ASK = (
    "import os, sys; print(sys.base_prefix, os.path.realpath(sys._base_executable), '%d.%d' % sys.version_info[:2],"
    " sep='\\n')"
)
_SCRIPT = """#!/bin/sh
self=$(readlink -f "$0") && here=${self%/*}
exec "$here/host/LOADER" --argv0 "$here/NAME" --library-path "$here/host" "$here/host/python" "$@"
"""
TIMEOUT_S = 600


def python_place(version: str) -> Path:
    """The folder in which Python of this version is or will be."""
    return cache_dir("scaffold") / f"python-{version}-{arch()}"


def ensure_python(version: str) -> Path:
    """The folder of a Python of this version, made now if need be. KatError when there is no way to one."""
    final = python_place(version)
    if final.is_dir():
        return final
    with locked(final):
        if not final.is_dir():
            with fresh("scaffold") as made:
                here = _of_this_machine(version)
                if here is not None:
                    _copy(made, version, *here)
                else:
                    _from_debian(made, version)
                publish(made, final)
    return final


# ------------------------------------------------------------------ an interpreter of this machine


def _of_this_machine(version: str) -> tuple[Path, Path] | None:
    """Prefix and executable of an interpreter of this version, if this machine has one that runs."""
    for path in _candidates(version):
        try:
            done = subprocess.run([path, "-I", "-S", "-c", _ASK], capture_output=True, text=True, check=False)
        except OSError:
            continue
        lines = done.stdout.splitlines()
        if done.returncode == 0 and len(lines) == 3 and lines[2] == version:
            return Path(lines[0]), Path(lines[1])
    return None


def _candidates(version: str) -> Iterator[Path]:
    yield Path(sys.executable)
    if found := shutil.which(f"python{version}"):
        yield Path(found)
    for pattern in _HOMES:
        yield from sorted(Path.home().glob(pattern.format(version)), reverse=True)


def _copy(made: Path, version: str, prefix: Path, executable: Path) -> None:
    library = prefix / "lib" / f"python{version}"
    modules = sorted((library / "lib-dynload").glob("*.so"))
    done = subprocess.run(["ldd", executable, *modules], capture_output=True, text=True, check=False)
    found = {Path(path) for path in re.findall(r"^\s+(?:\S+ => )?(/\S+) \(0x", done.stdout, re.MULTILINE)}
    _lay(made, version, executable, library, sorted(found))


# ------------------------------------------------------------------ Debian's packages


def _from_debian(made: Path, version: str) -> None:
    why = f"there is no Python {version} on this machine"
    if version not in SUITES:
        raise KatError(why, hint=f"uv python install {version}, or: apt-get install python{version}")
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))) or not (archive := _archive()):
        raise KatError(f"{why}, and no archive of Debian to get it from", hint=f"uv python install {version}")
    with fresh("scaffold") as work:
        for name in ("lists/partial", "cache/archives/partial", "root"):
            (work / name).mkdir(parents=True)
        line = f"deb [signed-by={KEYRING}] {archive} {SUITES[version]} main\n"
        (work / "sources.list").write_text(line, encoding="utf-8")
        apt = ["apt-get", "--quiet=2", *_own_folders(work)]
        _run([*apt, "update"], version)
        # wheels of C++ are linked with a libstdc++ that they do not bring
        wanted = [f"python{version}-minimal", f"libpython{version}-stdlib", "libstdc++6"]
        _run([*apt, "--yes", "--no-install-recommends", "--download-only", "install", *wanted], version)
        for package in sorted((work / "cache/archives").glob("*.deb")):
            _run(["dpkg-deb", "--extract", str(package), str(work / "root")], version)
        system = work / "root/usr"
        libraries = sorted(system.glob("lib/*-linux-gnu*/*.so*"))
        _lay(made, version, system / f"bin/python{version}", system / f"lib/python{version}", libraries)


def _archive() -> str:
    """The address of Debian's main archive in apt's own configuration; empty when that has none."""
    form = "$(REPO_URI) $(ORIGIN) $(COMPONENT) $(RELEASE)"
    asked = ["apt-get", "indextargets", "--format", form, "Identifier: Packages"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    lines = [line.split() for line in done.stdout.splitlines()]
    mains = [words[0] for words in lines if words[1:3] == ["Debian", "main"] and "-" not in words[3]]
    return mains[0] if mains else ""


def _own_folders(work: Path) -> list[str]:
    """Options with which apt neither reads nor changes what it knows of this machine, but for its configuration."""
    folders = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::Etc::preferencesparts": "/dev/null",
        "Dir::Etc::preferences": "/dev/null",
        "Dir::State::lists": work / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::State::extended_states": work / "extended_states",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "root",
    }
    return [word for name, value in folders.items() for word in ("-o", f"{name}={value}")]


def _run(argv: Sequence[str], version: str) -> None:
    try:
        done = subprocess.run(argv, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise KatError(f"fetching Python {version} took more than {TIMEOUT_S} s") from error
    if done.returncode != 0:
        said = " ".join(done.stderr.decode("utf-8", "replace").split())[-400:]
        raise KatError(f"fetching Python {version} with {argv[0]} failed: {said or f'status {done.returncode}'}")


# ------------------------------------------------------------------ the folder


def _lay(made: Path, version: str, executable: Path, library: Path, shared: Iterable[Path]) -> None:
    """Fill the folder from an executable, its standard library and the shared libraries that both are linked with."""
    host = made / "bin/host"
    host.mkdir(parents=True)
    shutil.copy(executable, host / "python")
    loader = ""
    for path in shared:
        if path.is_file() and not (host / path.name).exists():
            shutil.copy(path, host / path.name)
            loader = path.name if path.name.startswith("ld-") else loader
    if not loader:
        raise KatError(f"Python {version}: its loader is not among what it is linked with")
    shutil.copytree(library, made / f"lib/python{version}", ignore=shutil.ignore_patterns(*_NOT_COPIED), symlinks=False)
    name = f"python{version}"
    script = made / "bin" / name
    script.write_text(_SCRIPT.replace("LOADER", loader).replace("NAME", name), encoding="utf-8")
    script.chmod(0o755)
    for alias in ("python3", "python"):
        (made / "bin" / alias).symlink_to(name)
    done = subprocess.run([script, "-I", "-c", "import ssl, sqlite3, ctypes"], capture_output=True, check=False)
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"status {done.returncode}"]
        raise KatError(f"Python {version} does not start: {said[-1]}")
