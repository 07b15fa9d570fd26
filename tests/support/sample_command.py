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
from katcore.options import Options, opt

kat = Program("kat-sample", "Upper-case samples.")


class Work(Options, frozen=True):
    """Options of the sample."""

    sleep: Annotated[float, opt("Seconds a record takes.")] = 0.0
    tag: Annotated[tuple[str, ...], opt("Tags.")] = ()
    mark: Annotated[bool, opt("Add the seed of each record.")] = False


def _items(lines: Iterable[Any]) -> Iterator[Any]:
    from katcore.pool import Item

    for line in lines:
        yield Item(f"kat.sample/1:{line.record.id}", line.record, raw=line.raw, line=line.number, source=line.source)


@kat.command()
def work(run: Run, options: Work, files: Files = None) -> None:
    """Upper-case texts."""
    from katcore.errors import KatError, RecordError, Rejected
    from katcore.pool import Item, seed_for
    from katcore.records import Sample

    def process(item: Item) -> Iterator[Sample]:
        sample: Sample = item.payload
        time.sleep(options.sleep)
        text = sample.text or ""
        if text == "refuse":
            raise Rejected("taste", "not wanted", {"length": len(text)})
        if text == "odd":
            raise Rejected("taste \udce9", "not \udce9 wanted", {"files": ["caf\udce9.rb", {"\udce9": 1}]})
        if text == "fail":
            raise RecordError("work", "cannot")
        if text == "bug":
            raise ZeroDivisionError("oops")
        if text == "end":
            raise KatError("the world ended", hint="try tomorrow")
        if text == "unreadable":
            sample.weight = float("nan")
        if text == "half":
            sample.domain = "\ud83d"
        sample.text = text.upper() + (f" {seed_for(run.seed, item.key)}" if options.mark else "")
        yield sample

    run.stage(_items(run.read(files, Sample)), process)


@kat.command("say", output="text")
def say(run: Run, what: Annotated[str, typer.Argument(metavar="TEXT", help="What.")] = "hello") -> None:
    """Say something; the name of a package that is not there asks for it."""
    if what == "torch":
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    run.text(what)


main = kat.main

if __name__ == "__main__":
    main()
