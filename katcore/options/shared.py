"""The options that all commands share, in groups: where output goes, what is resumed, how much is done at a time."""

from pathlib import Path
from typing import Annotated, Literal

from katcore.options import Options, opt


class ToFile(Options, frozen=True):
    """Where records and texts go."""

    output: Annotated[Path | None, opt("Write here instead of standard output (-).", metavar="FILE", short="-o")] = None


class AsFormat(Options, frozen=True):
    """How records are written."""

    format: Annotated[
        Literal["jsonl", "zst", "parquet"] | None, opt("Format of the output; by default FILE's suffix.")
    ] = None


class ToFolder(Options, frozen=True):
    """Where a folder goes."""

    out: Annotated[Path | None, opt("The folder to write.", metavar="DIR", short="-o")] = None


class Resuming(Options, frozen=True):
    """What a second run of the same output does."""

    resume: Annotated[bool, opt("Go on where an interrupted run of the same output stopped.")] = False


class Beside(Options, frozen=True):
    """What becomes of records that give none."""

    dead_letter: Annotated[Path | None, opt("Keep records that could not be processed (exit 3).", metavar="FILE")] = (
        None
    )
    rejects: Annotated[Path | None, opt("Keep records that were turned away, with the reason.", metavar="FILE")] = None
    max_failures: Annotated[int | None, opt("Stop after more than N dead letters.", metavar="N", ge=0)] = None
    strict: Annotated[bool, opt("Stop at the first record that cannot be processed.")] = False


class Locking(Options, frozen=True):
    """What a busy output does."""

    lock_wait: Annotated[float, opt("Wait this long for a busy output.", metavar="SECONDS", ge=0)] = 0.0


class Workers(Options, frozen=True):
    """Where the work is done, and how much of it."""

    jobs: Annotated[int, opt("Work on N records at a time.", metavar="N", short="-j", ge=1)] = 1
    ray: Annotated[str, opt("Work on a Ray cluster; `local` starts one here.", metavar="ADDRESS")] = ""
    shard: Annotated[str, opt("Take the I-th of N parts of the work, I from 0.", metavar="I/N")] = ""


class Order(Options, frozen=True):
    """In which order records are written."""

    ordered: Annotated[bool, opt("Write records in the input's order, and not each when it is done.")] = False


class Session(Options, frozen=True):
    """What every command has."""

    seed: Annotated[int, opt("Seed of everything random.", metavar="N")] = 0
    config: Annotated[Path | None, opt("Options from this file, before ./kat.toml.", metavar="FILE")] = None
    no_config: Annotated[bool, opt("Read no configuration file.")] = False
    print_config: Annotated[bool, opt("Print every option's value and source, and stop.")] = False
    dry_run: Annotated[bool, opt("Say what would be done, and stop.")] = False
    quiet: Annotated[bool, opt("Only errors on standard error.", short="-q")] = False
    verbose: Annotated[int, opt("Say more; -vv adds tracebacks.", short="-v", count=True)] = 0
    log_format: Annotated[Literal["text", "json"], opt("Messages as text or as JSON lines.")] = "text"


RECORDS = (ToFile, AsFormat, Resuming, Beside, Locking, Workers, Session)
"""Shared by commands that put out records."""
UNORDERED = (ToFile, AsFormat, Resuming, Beside, Locking, Workers, Order, Session)
"""Shared by commands that put out each record when it is done: one may take a hundred times as long as another."""
FOLDER = (ToFolder, Resuming, Locking, Session)
"""Shared by commands that put out a folder."""
TEXT = (ToFile, Session)
"""Shared by commands that put out text."""
