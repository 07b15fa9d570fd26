"""The table of agents: what to install, how to configure and start each, what its results look like.

In: `scaffolds.toml`, and the `[scaffold.NAME]` tables of a user's `kat.toml`, which have the same form. Out: rows.
In every string of a row these names in braces stand for what they say, other braces for themselves:
`{task}` the problem statement, `{task_file}` a file in the home that holds it, `{model}`, `{key}`, `{url}` the gateway
inside the box (no path), `{port}` its port, `{home}`, `{workdir}`, `{agent}` the folder of the installation, `{node}`
and `{python}` interpreters, `{arch}` (x64 or arm64), `{cpu}` (x86_64 or aarch64), `{version}`, `{context}` and
`{completion}` the token limits of one call, `{compact_at}` where an agent should shorten its history.
"""

from __future__ import annotations

import platform
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import msgspec

from katcore.errors import UsageError
from katcore.records import Outcome

FILE = Path(__file__).parent / "scaffolds.toml"
STARTERS = "kat-start"
"""The folder of an installation with a file for each console script, which Python starts."""
_NAME = re.compile(r"\{([a-z_]+)\}")
_ARCH = {"x86_64": "x64", "aarch64": "arm64", "arm64": "arm64"}
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Agent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One row of the table: an agent of somebody else's, how it is installed, started and read.

    `program` with `args` is the command line; in place of `program`, `script` names a console script of what `pip`
    installs. `first` are lines to run before it; `asks_version` are the arguments to which the program answers with its
    version. `npm`, `pip`: pinned packages, the agent's own first. `lock`: a file beside this one that pins everything
    `pip` installs. `sources`: packages among those, `NAME==VERSION`, that the index has as source alone; they must be
    of Python alone, and nothing of them is run. `remove`: files of the installation to take away, such as a mark that
    an install script has not run yet. `node`, `python`: the versions that `{node}` and `{python}` are; without
    `python`, that of the boxes. `files`: paths below the home, with their content. `env`: on top of the box's.
    `dialect`: the API that it speaks. `outcomes`: patterns searched in a tool's result, in order; of a result that none
    fits nothing is known (`"" = "ok"` as the last one says that all others are fine). `failed`: a pattern that in the
    end of the agent's output says that it gave up although its exit status is 0. `ignore`: the agent's own files in the
    repository, in the form of a .gitignore's lines; the patch is without them.
    """

    args: tuple[str, ...]
    program: tuple[str, ...] = ()
    script: str = ""
    version: str = ""
    dialect: Literal["openai-chat", "openai-responses", "anthropic", "gemini"] = "openai-chat"
    npm: tuple[str, ...] = ()
    pip: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    lock: str = ""
    remove: tuple[str, ...] = ()
    node: str = ""
    python: str = ""
    files: dict[str, str] = {}
    env: dict[str, str] = {}
    first: tuple[tuple[str, ...], ...] = ()
    outcomes: dict[str, Outcome] = {}
    failed: str = ""
    ignore: tuple[str, ...] = ()
    asks_version: tuple[str, ...] = ("--version",)

    @property
    def installed(self) -> bool:
        """Whether the row has packages to install; else the program is in the box's system already."""
        return bool(self.npm or self.pip)

    @property
    def command(self) -> tuple[str, ...]:
        """The program's words: `program`, or what starts the console script. `-I`: what the box sets is not its own."""
        return self.program or ("{python}", "-I", f"{{agent}}/{STARTERS}/{self.script}")


def arch() -> str:
    """This machine's processor as npm names it."""
    machine = platform.machine()
    return _ARCH.get(machine, machine)


def cpu() -> str:
    """This machine's processor as Rust's targets name it."""
    return {"x64": "x86_64", "arm64": "aarch64"}.get(arch(), arch())


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with the names in braces that are in `values` replaced, once."""
    return _NAME.sub(lambda found: values.get(found[1], found[0]), text)


@cache
def built_in() -> dict[str, Agent]:
    """The rows that KAT ships."""
    rows = tomllib.loads(FILE.read_text("utf-8"))
    return {name: _row(name, row, FILE.name) for name, row in rows.items()}


def rows(user: str = "") -> dict[str, Agent]:
    """All rows; `user` is a JSON object of a user's own, which may also replace members of a built-in row."""
    known = dict(built_in())
    for name, given in msgspec.json.decode(user or b"{}").items():
        if not _PLAIN.fullmatch(name):
            raise UsageError(f"[scaffold.{name}]: a name has letters, digits, dots, dashes and underscores")
        base = msgspec.to_builtins(known[name]) if name in known else {}
        if not isinstance(given, dict):
            raise UsageError(f"[scaffold.{name}] is not a table")
        known[name] = _row(name, {**base, **given}, f"[scaffold.{name}]")
    return known


def _row(name: str, given: Any, where: str) -> Agent:
    try:
        row = msgspec.convert(given, Agent)
    except msgspec.ValidationError as error:
        raise UsageError(f"{where}: {name}: {error}") from error
    if not (row.program or row.script):
        raise UsageError(f"{where}: {name}: program is empty")
    if row.script and not (row.pip and _PLAIN.fullmatch(row.script)):
        raise UsageError(f"{where}: {name}: script names a console script of what pip installs")
    if row.installed and not row.version:
        raise UsageError(f"{where}: {name}: a package is installed, but no version is pinned")
    if any("{node}" in text for line in (row.command, row.args, *row.first) for text in line) and not row.node:
        raise UsageError(f"{where}: {name}: {{node}} is used, but no version of node is pinned")
    if row.python and not re.fullmatch(r"3\.\d+", row.python):
        raise UsageError(f"{where}: {name}: python is a version such as 3.13, not {row.python!r}")
    for path in (*row.files, *row.remove):
        if path.startswith("/") or ".." in path.split("/"):
            raise UsageError(f"{where}: {name}: {path!r} leads out of its folder")
    for pattern in (*row.outcomes, row.failed):
        try:
            re.compile(pattern)
        except re.error as error:
            raise UsageError(f"{where}: {name}: {pattern!r} is no pattern: {error}") from error
    return row
