"""A command that keeps the contract and does next to nothing: what the contract's tests run as a real process.

`work` maps kat.sample records to themselves with their text upper-cased; a text can ask to be refused or to fail.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from katcli.contract import Program
from katcli.options import Files
from katcli.run import Run

kat = Program("kat-sample", "Upper-case samples.")


def _items(lines: Iterable[Any]) -> Iterator[Any]:
    from katcore.pool import Item

    for line in lines:
        yield Item(f"kat.sample/1:{line.record.id}", line.record, raw=line.raw, line=line.number)


@kat.command()
def work(
    run: Run,
    files: Files = None,
    sleep: Annotated[float, typer.Option("--sleep", help="Seconds a record takes.")] = 0.0,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Tags.")] = None,
    mark: Annotated[bool, typer.Option("--mark/--no-mark", help="Add the seed of each record.")] = False,
) -> None:
    """Upper-case texts."""
    from katcore.errors import KatError, RecordError, Rejected
    from katcore.pool import Item, seed_for
    from katcore.records import Sample

    def process(item: Item) -> Iterator[Sample]:
        sample: Sample = item.payload
        time.sleep(sleep)
        text = sample.text or ""
        if text == "refuse":
            raise Rejected("taste", "not wanted", {"length": len(text)})
        if text == "fail":
            raise RecordError("work", "cannot")
        if text == "bug":
            raise ZeroDivisionError("oops")
        if text == "end":
            raise KatError("the world ended", hint="try tomorrow")
        sample.text = text.upper() + (f" {seed_for(run.seed, item.key)}" if mark else "")
        yield sample

    run.stage(_items(run.read(files, Sample)), process)


@kat.command("say", output="text")
def say(run: Run, what: Annotated[str, typer.Argument(metavar="TEXT", help="What.")] = "hello") -> None:
    """Say something."""
    run.text(what)


main = kat.main

if __name__ == "__main__":
    main()
