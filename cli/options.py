"""Which options a command shares with the others, and what Typer is told of any option.

The shared ones (`katcore.options.shared`) depend on what a command puts out. Nothing heavy is imported here: `--help`
reads this file.
"""

from __future__ import annotations

import inspect
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from katcore.options import NODEFAULT, Option, Options, options_of, without_none
from katcore.options.shared import FOLDER, RECORDS, TEXT, UNORDERED

Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]...", help="Input files; none or - is standard input.", show_default=False),
]


class Kind(StrEnum):
    """What a command puts out, which decides the options it shares: records in the order of its input, records as they
    are done, a folder, or text for people.
    """

    records = "records"
    unordered = "unordered"
    folder = "folder"
    text = "text"


SHARED: dict[Kind, tuple[type[Options], ...]] = {
    Kind.records: RECORDS,
    Kind.unordered: UNORDERED,
    Kind.folder: FOLDER,
    Kind.text: TEXT,
}
UNCONFIGURABLE = dict.fromkeys(("config", "no-config", "print-config", "dry-run"), "only the command line may say it")
"""Options that no file and no variable may set, and why."""


def shared_for(kind: Kind, taken: frozenset[str] = frozenset()) -> tuple[Option, ...]:
    """The shared options of a command with this output, less those that it declares itself."""
    return tuple(o for group in SHARED[kind] for o in options_of(group) if o.key not in taken)


def flags_of(option: Option) -> list[str]:
    """How the option is written on a command line: `-o --output`; a flag that is on by itself has its opposite."""
    long = f"--{option.key}"
    if option.default is True:
        long += f"/--no-{option.key}"
    return [*filter(None, [option.short]), long]


def parameter(option: Option) -> inspect.Parameter:
    """What Typer reads: repeated options are lists to it, and what has to be given may come from a file too."""
    needed = option.default is NODEFAULT
    kind: Any = option.kind | None if needed else option.kind
    if option.repeats:
        kind = list[get_args(without_none(option.kind))[0]] | None  # type: ignore[misc]
    told = typer.Option(
        *flags_of(option),
        help=f"{option.help}  [required]" if needed else option.help,
        metavar=option.metavar or None,
        min=option.ge,
        max=option.le,
        count=option.count,
    )
    return inspect.Parameter(
        option.field,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[kind, told],
        default=None if needed or option.repeats else option.default,
    )
