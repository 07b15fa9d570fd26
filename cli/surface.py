"""What a command looks like from outside: subcommands, arguments, options, their values. For man pages and completions.

Read off the options as they are declared, so that a page cannot drift from its command.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from msgspec import NODEFAULT

from katcli.contract import Command, Program
from katcli.options import flags_of
from katcore import options as declared
from katcore.options import without_none

COMMANDS = ("mine", "build_env", "rollout", "verify", "pack_trie", "train", "distill")
"""Modules of the seven commands, in the order of the pipe."""


@dataclass(frozen=True)
class Option:
    """One option or argument: `values` are its choices, `dynamic` the kind that `kat-complete` lists."""

    name: str
    flags: tuple[str, ...]
    metavar: str
    help: str
    default: str
    values: tuple[str, ...] = ()
    takes_value: bool = True
    repeats: bool = False
    path: Literal["", "file", "folder"] = ""
    shared: bool = False

    @property
    def dynamic(self) -> str:
        """The kind of value that only the installed KAT knows: scaffold, engine, sandbox, ….

        A metavar that `kat-complete` has a list for is enough to ask for it.
        """
        from katcli.complete import KINDS

        return self.metavar.lower() if self.metavar.lower() in KINDS else ""


@dataclass(frozen=True)
class Surface:
    """A command or subcommand as a user sees it."""

    name: str
    summary: str
    text: str
    arguments: tuple[Option, ...] = ()
    options: tuple[Option, ...] = field(default=())


def programs() -> Iterator[Program]:
    """The seven commands."""
    for module in COMMANDS:
        yield import_module(f"katcli.{module}").kat


def surface(command: Command) -> Surface:
    """One command's arguments and options, its own first."""
    shared = {option.key for option in command.shared}
    text = inspect.getdoc(command.function) or ""
    return Surface(
        command.name,
        command.summary,
        text.partition("\n")[2].strip(),
        tuple(_argument(name, given) for name, given in command.arguments.items()),
        tuple(_option(option, option.key in shared) for option in command.options),
    )


def _argument(name: str, given: inspect.Parameter) -> Option:
    kind, told = get_args(given.annotation)[:2]
    kind = without_none(kind)
    repeats = get_origin(kind) is list
    return Option(
        name=name,
        flags=(),
        metavar=told.metavar,
        help=told.help or "",
        default="",
        repeats=repeats,
        path="file" if (get_args(kind)[0] if repeats else kind) is Path else "",
    )


def _option(option: declared.Option, shared: bool) -> Option:
    kind = without_none(option.kind)
    if option.repeats:
        kind = get_args(kind)[0]
    metavar = option.metavar or ("" if option.choices else {int: "N", float: "X", Path: "FILE"}.get(kind, "TEXT"))
    return Option(
        name=option.field,
        flags=tuple(flags_of(option)),
        metavar=metavar,
        help=option.help,
        default=_default(option.default),
        values=option.choices,
        takes_value=kind is not bool and not option.count,
        repeats=option.repeats,
        path=("folder" if metavar == "DIR" else "file") if kind is Path else "",
        shared=shared,
    )


def _default(value: Any) -> str:
    if value is NODEFAULT or value is None or isinstance(value, bool) or value == "":
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
