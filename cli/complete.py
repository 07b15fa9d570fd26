"""`kat-complete KIND [PREFIX]`: the values that only this installation knows, one a line, for shell completion.

Standard library only, and as little of it as will do: this runs at every press of TAB.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path


def _folders(prefix: str) -> Iterator[str]:
    """Folders below what was typed; model folders are the ones that hold a config.json."""
    head, slash, tail = prefix.rpartition("/")
    base = Path((head or "/") if slash else ".")
    try:
        entries = sorted(base.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(tail) and entry.is_dir() and not entry.name.startswith("."):
            shown = f"{head}/{entry.name}" if slash else entry.name
            yield shown if (entry / "config.json").exists() else shown + "/"


def _engines(prefix: str) -> Iterator[str]:
    from katcore.engine import KINDS as kinds

    kind, colon, rest = prefix.partition(":")
    if colon and kind in {"embedded", "scripted"}:
        yield from (f"{kind}:{folder}" for folder in _folders(rest))
    else:
        yield from (kind + colon for kind, colon in kinds.items())


def _sandboxes(prefix: str) -> Iterator[str]:
    from katcore.sandbox import SANDBOXES

    yield from SANDBOXES


def _scaffolds(prefix: str) -> Iterator[str]:
    from katcore.scaffold import names

    yield from names()


def _schemas(prefix: str) -> Iterator[str]:
    yield from ("kat.change/1", "kat.sample/1", "kat.task/1", "kat.trajectory/1", "kat.pack/1")


KINDS: dict[str, Callable[[str], Iterator[str]]] = {
    "engine": _engines,
    "model": _folders,
    "sandbox": _sandboxes,
    "scaffold": _scaffolds,
    "schema": _schemas,
    "format": lambda prefix: iter(("jsonl", "zst", "parquet")),
}


def main() -> None:
    """The entry point: silent on anything it does not know, so that a prompt is never disturbed."""
    args = sys.argv[1:]
    if not args or args[0] in {"-h", "--help"}:
        print(f"Usage: kat-complete KIND [PREFIX]\n\n  Kinds: {', '.join(KINDS)}")
        sys.exit(0 if args else 2)
    prefix = args[1] if len(args) > 1 else ""
    known = KINDS.get(args[0])
    for value in known(prefix) if known is not None else ():
        if value.startswith(prefix):
            print(value)
