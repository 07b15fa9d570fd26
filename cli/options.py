"""The options that all commands share, in one table: help, man pages, completions and configuration derive from it.

A command's own options are the parameters of its function; the shared ones are added by `contract.py`. Nothing heavy
is imported here: `--help` reads this file.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

Files = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]...", help="Input files; none or - is standard input.", show_default=False),
]

Sandbox = Annotated[
    str, typer.Option("--sandbox", metavar="SANDBOX", help="What boxes are made by: bubblewrap or docker.")
]
Runtime = Annotated[
    str, typer.Option("--runtime", metavar="NAME", help="The Docker engine's runtime for boxes, such as runsc or kata.")
]


class OutputFormat(StrEnum):
    """How records are written."""

    jsonl = "jsonl"
    zst = "zst"
    parquet = "parquet"


class LogFormat(StrEnum):
    """How messages are written to standard error."""

    text = "text"
    json = "json"


class Output(StrEnum):
    """What a command produces, which decides the options it shares: a record stream, a folder, or text for people."""

    records = "records"
    folder = "folder"
    text = "text"


@dataclass(frozen=True)
class Shared:
    """One shared option: name, type as Typer wants it, default, and the kinds of output that have it."""

    name: str
    kind: Any
    default: Any
    outputs: frozenset[Output]


def _shared(name: str, kind: Any, default: Any, outputs: str) -> Shared:
    return Shared(name, kind, default, frozenset(Output(o) for o in outputs.split()))


_ALL = "records folder text"
SHARED: tuple[Shared, ...] = (
    _shared(
        "output",
        Annotated[
            Path | None,
            typer.Option("-o", "--output", metavar="FILE", help="Write here instead of standard output (-)."),
        ],
        None,
        "records text",
    ),
    _shared(
        "format",
        Annotated[
            OutputFormat | None, typer.Option("--format", help="Format of the output; by default FILE's suffix.")
        ],
        None,
        "records",
    ),
    _shared(
        "out",
        Annotated[Path | None, typer.Option("--out", "-o", metavar="DIR", help="The folder to write.")],
        None,
        "folder",
    ),
    _shared(
        "resume",
        Annotated[bool, typer.Option("--resume", help="Go on where an interrupted run of the same output stopped.")],
        False,
        "records folder",
    ),
    _shared(
        "dead_letter",
        Annotated[
            Path | None,
            typer.Option("--dead-letter", metavar="FILE", help="Keep records that could not be processed (exit 3)."),
        ],
        None,
        "records",
    ),
    _shared(
        "rejects",
        Annotated[
            Path | None,
            typer.Option("--rejects", metavar="FILE", help="Keep records that were turned away, with the reason."),
        ],
        None,
        "records",
    ),
    _shared(
        "max_failures",
        Annotated[
            int | None, typer.Option("--max-failures", metavar="N", min=0, help="Stop after more than N dead letters.")
        ],
        None,
        "records",
    ),
    _shared(
        "strict",
        Annotated[bool, typer.Option("--strict", help="Stop at the first record that cannot be processed.")],
        False,
        "records",
    ),
    _shared(
        "lock_wait",
        Annotated[
            float, typer.Option("--lock-wait", metavar="SECONDS", min=0, help="Wait this long for a busy output.")
        ],
        0.0,
        "records folder",
    ),
    _shared(
        "jobs",
        Annotated[int, typer.Option("-j", "--jobs", metavar="N", min=1, help="Work on N records at a time.")],
        1,
        "records",
    ),
    _shared(
        "ray",
        Annotated[
            str, typer.Option("--ray", metavar="ADDRESS", help="Work on a Ray cluster; `local` starts one here.")
        ],
        "",
        "records",
    ),
    _shared(
        "shard",
        Annotated[str, typer.Option("--shard", metavar="I/N", help="Take the I-th of N parts of the work, I from 0.")],
        "",
        "records",
    ),
    _shared("seed", Annotated[int, typer.Option("--seed", metavar="N", help="Seed of everything random.")], 0, _ALL),
    _shared(
        "config",
        Annotated[
            Path | None, typer.Option("--config", metavar="FILE", help="Options from this file, before ./kat.toml.")
        ],
        None,
        _ALL,
    ),
    _shared("no_config", Annotated[bool, typer.Option("--no-config", help="Read no configuration file.")], False, _ALL),
    _shared(
        "print_config",
        Annotated[bool, typer.Option("--print-config", help="Print every option's value and source, and stop.")],
        False,
        _ALL,
    ),
    _shared(
        "dry_run", Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and stop.")], False, _ALL
    ),
    _shared(
        "quiet", Annotated[bool, typer.Option("-q", "--quiet", help="Only errors on standard error.")], False, _ALL
    ),
    _shared(
        "verbose",
        Annotated[int, typer.Option("-v", "--verbose", count=True, help="Say more; -vv adds tracebacks.")],
        0,
        _ALL,
    ),
    _shared(
        "log_format",
        Annotated[LogFormat, typer.Option("--log-format", help="Messages as text or as JSON lines.")],
        LogFormat.text,
        _ALL,
    ),
)

UNCONFIGURABLE = frozenset({"config", "no_config", "print_config", "dry_run"})
"""Options that only the command line may set."""


def shared_for(output: Output) -> list[Shared]:
    """The shared options of a command with this output."""
    return [option for option in SHARED if output in option.outputs]


def declarations(hint: Any, name: str) -> list[str]:
    """The flags of an option as declared, such as `["-o", "--output"]`; `--NAME` if none is; [] for arguments."""
    for info in get_args(hint)[1:]:
        if isinstance(info, typer.models.ArgumentInfo):
            return []
        if isinstance(info, typer.models.OptionInfo):
            # with Annotated, Typer keeps the first declaration in `default` until it resolves the parameter
            first = [info.default] if isinstance(info.default, str) and info.default.startswith("-") else []
            return first + list(info.param_decls or ()) or ["--" + name.replace("_", "-")]
    return ["--" + name.replace("_", "-")]


def key_of(hint: Any, name: str) -> str:
    """The option's name in the environment and in files: its long flag with `_`, such as `min_reward`."""
    long = [flag for flag in declarations(hint, name) if flag.startswith("--")]
    return (long[0].partition("/")[0].removeprefix("--") if long else name).replace("-", "_")
