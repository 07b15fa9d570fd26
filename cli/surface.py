"""What a command looks like from outside: subcommands, arguments, options, their values. For man pages and completions.

Read off the functions' own signatures with public parts of Typer only, so that a page cannot drift from its command.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from katcli.contract import Command, Program
from katcli.options import SHARED, declarations

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
    shared = {option.name for option in SHARED}
    seen = [
        _option(name, hint, command.signature.parameters[name].default, name in shared)
        for name, hint in command.hints.items()
        if not _hidden(hint)
    ]
    text = inspect.getdoc(command.function) or ""
    return Surface(
        command.name,
        command.summary,
        text.partition("\n")[2].strip(),
        tuple(option for option in seen if not option.flags),
        tuple(option for option in seen if option.flags),
    )


def _info(hint: Any) -> Any:
    for info in get_args(hint)[1:]:
        if isinstance(info, typer.models.ParameterInfo):
            return info
    return None


def _hidden(hint: Any) -> bool:
    info = _info(hint)
    return bool(info is not None and info.hidden)


def _plain(kind: Any) -> tuple[Any, bool]:
    """The type without `| None`, and whether it is a list."""
    if get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(arg for arg in get_args(kind) if arg is not type(None))
    if get_origin(kind) in (list, tuple):
        return _plain(get_args(kind)[0])[0], True
    return kind, False


def _values(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return tuple(str(value) for value in get_args(kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(str(member.value) for member in kind)
    return ()


def _option(name: str, hint: Any, default: Any, shared: bool) -> Option:
    info = _info(hint)
    kind, repeats = _plain(get_args(hint)[0] if get_origin(hint) is typing.Annotated else hint)
    values = _values(kind)
    flags = tuple(declarations(hint, name))
    metavar = (info.metavar if info is not None else None) or ("" if values else _metavar(kind))
    is_path = isinstance(kind, type) and issubclass(kind, Path)
    return Option(
        name=name,
        flags=flags,
        metavar=metavar,
        help=(info.help if info is not None else "") or "",
        default=_default(default),
        values=values,
        takes_value=kind is not bool and not bool(getattr(info, "count", False)),
        repeats=repeats,
        path=("folder" if metavar.strip("[].") == "DIR" else "file") if is_path else "",
        shared=shared,
    )


def _metavar(kind: Any) -> str:
    return {int: "N", float: "X", Path: "FILE"}.get(kind, "TEXT")


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty or value is None or isinstance(value, bool) or value == "":
        return ""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Enum):
        return str(value.value)
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
