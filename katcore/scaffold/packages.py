"""Packages of agents: pip's and npm's work in a folder, what starts them, and what they say when it fails.

In: a folder and pinned packages. Out: the folder filled, or a KatError whose one line has the package manager's own
reason. No code of a package runs here: npm's install scripts are off and pip takes wheels only. `fetched_later` says
of an npm package that it fetches its program from elsewhere when it is installed, which is then not there.
"""

from __future__ import annotations

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from katcore.disk.cache import fresh
from katcore.errors import KatError
from katcore.scaffold.source_wheels import write_wheels
from katcore.scaffold.table import STARTERS
from katcore.source.pip_session import settings

Reader = Callable[[Sequence[str]], str]
"""What finds the reason in a package manager's lines."""
TIMEOUT_S = 1200
ENTRIES = "entries.json"
"""The entry points by the names of the scripts, beside what starts them."""
STARTER = Path(__file__).parent / "in_box" / "console_script.py"
_INSTALL_SCRIPTS = ("preinstall", "install", "postinstall")
_FETCHES = re.compile(
    rb"https?\.get\(|https?\.request\(|\bfetch\(|\baxios\b|\bcurl\b|\bwget\b|node-fetch|prebuild-install|node-pre-gyp"
)


def pip(
    target: Path, packages: Sequence[str], python: Path | None = None, *, deps: bool, sources: Sequence[str] = ()
) -> None:
    """Install packages for an interpreter, by default the one that runs KAT; `deps` or nothing that is not named.

    `sources` are those of them that the index has no wheels of.
    What is named without its dependencies was tried as it stands, so that what it says of Pythons does not count.
    """
    here = ["--python", str(python)] if python else []
    flags = ["--quiet", "--disable-pip-version-check", "--root-user-action=ignore", "--only-binary", ":all:"]
    flags += [] if deps else ["--no-deps", "--ignore-requires-python"]
    with fresh("scaffold") as work:
        write_wheels(sources, work)
        flags += ["--find-links", str(work)] if sources else []
        argv = [sys.executable, "-m", "pip", *here, "install", *flags, "--target", str(target), *packages]
        _run(argv, work, _listed(packages), pips_reason)


def npm(target: Path, packages: Sequence[str], node: Path) -> None:
    """Install packages with the npm of a folder of node."""
    flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", "--loglevel=error"]
    (target / "package.json").write_text('{"private": true}\n', encoding="utf-8")
    program = [str(node / "bin" / "node"), str(node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]
    _run([*program, "install", *flags, *packages], target, _listed(packages), npms_reason)


def _listed(packages: Sequence[str]) -> str:
    return " ".join(packages[:3]) + (f" and {len(packages) - 3} more" if len(packages) > 3 else "")


def _run(argv: Sequence[str], folder: Path, what: str, reason: Reader) -> None:
    # a virtual environment's own paths must not decide what is installed for a box
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    if cert := settings().cert:
        env.setdefault("NODE_EXTRA_CA_CERTS", cert)
    try:
        done = subprocess.run(
            argv, cwd=folder, env=env, capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise KatError(f"installing {what} took more than {TIMEOUT_S} s") from error
    if done.returncode != 0:
        lines = (done.stderr + b"\n" + done.stdout).decode("utf-8", "replace").splitlines()
        said = reason([" ".join(line.split()) for line in lines]) or f"exit status {done.returncode}"
        raise KatError(f"installing {what} failed: {said[:400]}")


def pips_reason(lines: Sequence[str]) -> str:
    """The errors, last first where pip lists much before; of versions for other Pythons only that there are such."""
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    passed_over = re.compile(r"Ignored the following .*different python version.*")
    other = next((line for line in errors if passed_over.match(line)), "")
    needs = sorted(set(re.findall(r"Requires-Python ([^;]+)", other)))
    said = [line for line in errors if not line.startswith("Ignored the following")]
    said.sort(key=lambda line: line.startswith("Could not find a version"))  # it lists all there are
    found = [re.sub(r" \(from versions: [^)]{80,}\)", "", line) for line in said]
    if needs:
        found.append(f"there are versions for Python {needs[-1]}: a row names its Python with `python`")
    return "; ".join(found) or _last_error(lines)


def npms_reason(lines: Sequence[str]) -> str:
    """What npm says that is wrong, and its code for it, without where its log lies."""
    errors = [re.sub(r"^npm (?:error|ERR!) ?", "", line) for line in lines if re.match("npm (error|ERR!)", line)]
    told = re.compile(r"(code|errno|syscall|path|stack|A complete log|404 Note|\d{3} *$)\b|\s*$")
    found = [re.sub(r"^(?:[a-z]+|\d{3}) (?=[A-Z'])", "", line) for line in errors if not told.match(line)]
    codes = [line.removeprefix("code ") for line in errors if line.startswith("code ")]
    return "; ".join(dict.fromkeys([*found[:3], *codes[:1]])) or _last_error(lines)


def _last_error(lines: Sequence[str]) -> str:
    """The last line that speaks of an error: a traceback's last, for one."""
    return next((line for line in reversed(lines) if re.search("error|Error|ERR", line)), "")


# ------------------------------------------------------------------ what starts them


def write_starters(folder: Path, distribution: Path) -> list[str]:
    """Write a file for each console script of a distribution that lies in the folder; returns their names.

    Those that pip writes name an interpreter of this machine, and find their package only by PYTHONPATH, which all that
    the agent starts would inherit.
    """
    entries = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    entries.optionxform = str  # type: ignore[method-assign, assignment]
    file = distribution / "entry_points.txt"
    entries.read_string(file.read_text("utf-8") if file.is_file() else "")
    scripts = dict(entries["console_scripts"]) if entries.has_section("console_scripts") else {}
    if scripts:
        starters = folder / STARTERS
        starters.mkdir()
        for name in scripts:
            shutil.copy(STARTER, starters / name)
        points = {name: re.sub(r"\s|\[.*", "", point) for name, point in scripts.items()}
        (starters / ENTRIES).write_text(json.dumps(points), encoding="utf-8")
    return sorted(scripts)


def fetched_later(package: Path) -> str:
    """The install script of an npm package, if that fetches something from elsewhere; else empty."""
    file = package / "package.json"
    scripts = json.loads(file.read_bytes()).get("scripts") or {} if file.is_file() else {}
    for name in _INSTALL_SCRIPTS:
        command = str(scripts.get(name) or "")
        if _FETCHES.search(command.encode()) or any(_FETCHES.search(text) for text in _sources(package, command)):
            return f"{name}: {command}"
    return ""


def _sources(package: Path, command: str) -> Iterable[bytes]:
    """The files of the package that a command line names, and those beside them that they load."""
    try:
        words = shlex.split(command)
    except ValueError:
        words = command.split()
    for word in words:
        path = package / word
        if path.suffix in (".js", ".cjs", ".mjs", ".sh") and path.is_file():
            text = path.read_bytes()
            yield text
            for near in re.findall(rb"""(?:require\(|from |import\()\s*["'](\.{1,2}/[\w./-]+)["']""", text):
                found = [path.parent / (os.fsdecode(near) + end) for end in ("", ".js", ".cjs", ".mjs")]
                yield from (file.read_bytes() for file in found if file.is_file())
