"""A command that keeps the contract and does next to nothing: what the contract's tests run as a real process.

It maps kat.sample records to themselves with their text upper-cased; a text can ask to be refused or to fail, to wait
for a file or to make it. `each` does the same and writes each record when it is done.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path
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
    file: Annotated[Path, opt("What texts wait for and make.")] = Path("file")


def _items(lines: Iterable[Any]) -> Iterator[Any]:
    from katcore.pool import Item

    for line in lines:
        yield Item(f"kat.sample/1:{line.record.id}", line.record, raw=line.raw, line=line.number, source=line.source)


@kat.command()
@kat.command("each", output="unordered")
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
        if text == "make":
            options.file.touch()
        while text == "wait" and not options.file.exists():
            time.sleep(0.02)
        if text in ("stubborn", "serve"):
            _until_a_signal(text == "serve")
        sample.text = text.upper() + (f" {seed_for(run.seed, item.key)}" if options.mark else "")
        yield sample

    run.stage(_items(run.read(files, Sample)), process)


def _until_a_signal(serves: bool) -> None:
    """What does not end by a signal: it takes it for a wish, or takes a minute over its end."""
    from katcli.signals import ENDINGS, Terminated

    try:
        time.sleep(60)
    except Terminated:
        if not serves:
            time.sleep(60)
        ENDINGS.caught()
        time.sleep(5)


@kat.command("say", output="text")
def say(run: Run, what: Annotated[str, typer.Argument(metavar="TEXT", help="What.")] = "hello") -> None:
    """Say something; the name of a package that is not there asks for it."""
    if what == "torch":
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    run.text(what)


main = kat.main

if __name__ == "__main__":
    main()
