"""One run of a command: its input, its output, what it counted. Commands get a `Run` and call one library function.

`stage` is the loop that all record commands share: skip what is finished, map, write in the input's order or as it is
done, keep rejects and dead letters, commit. Nothing here knows what a record means.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from katcli.log import Log
from katcore.disk.lock import take
from katcore.disk.whole import write_whole
from katcore.errors import BusyError, UsageError

if TYPE_CHECKING:
    from katcore.pool import Done, Item, Settle
    from katcore.streams import Line, Output


TICK_S = 1.0
"""Between two looks at what is under way."""


class KeptItems(Protocol):
    """What a stage keeps beside its output until that is whole."""

    def begin(self, written: Collection[str] | None) -> None:
        """Under the output's lock, ahead of everything; `written` are the keys that a resumed output holds."""

    def tell(self, say: Callable[[str], None], count: Callable[[str, float], None]) -> None:
        """Say and count what an earlier run left."""

    def around(self, settle: Settle, item: Item) -> Done:
        """Settle an item, or take what is kept of it."""

    def cut(self) -> None:
        """The stage ends before its time: what ends from now on is not kept."""

    def end(self) -> None:
        """The output is whole."""


class TooManyFailures(Exception):
    """`--strict` or `--max-failures` ends the stage; what was written stays for --resume."""


class Run:
    """What the contract gives to a command: the shared options and the things they decide."""

    def __init__(self, log: Log, options: dict[str, Any]) -> None:
        self._log = log
        self._options = options
        self.seed: int = options["seed"]
        self.resume: bool = options.get("resume", False)
        self.dry_run: bool = options["dry_run"]
        self.jobs: int = options.get("jobs", 1)
        self.ray: str = options.get("ray", "")
        self.ordered: bool = options.get("ordered", True)
        self.strict: bool = options.get("strict", False)
        self.counts: dict[str, Any] = {}
        self.at_once = False
        """End without the interpreter's own end: foreign threads, which it would wait for or abort, are still there."""
        self._tally: Callable[[Any], Mapping[str, float]] | None = None
        self._live: Callable[[], Mapping[str, float]] | None = None
        self._rows = False

    def turned_away(self) -> bool:
        """Whether anything was rejected, by this run or by the runs that it resumes and that kept --rejects."""
        kept = self._options.get("rejects")
        return bool(self.counts.get("rejected") or (self.resume and kept and kept.exists() and kept.stat().st_size))

    # ------------------------------------------------------------------ messages

    def log(self, text: str) -> None:
        """One line for people, silenced by -q."""
        self._log.status(text)

    def hush(self) -> None:
        """From now on errors only: another process of the same run speaks."""
        self._log.quiet = True

    def detail(self, text: str) -> None:
        """One line that only -v shows."""
        self._log.status(text, level=1)

    def warn(self, text: str) -> None:
        """One warning."""
        self._log.warning(text)

    def count(self, name: str, n: float = 1) -> None:
        """Add to a number of the summary."""
        self.counts[name] = self.counts.get(name, 0) + n

    # ------------------------------------------------------------------ input

    def read(self, files: Sequence[Path] | None, *kinds: type) -> Iterator[Line]:
        """The records of the files, or of standard input; `kinds` are those that this command takes."""
        from katcore import records, streams

        paths = list(files or [])
        if (not paths or Path("-") in paths) and sys.stdin.isatty():
            raise UsageError("no input: name a file or pipe records in", hint="--help shows how to call it")
        return streams.read_records(paths, kinds or records.RECORDS, warn=self.warn)

    def scaffold_table(self) -> str:
        """The `[scaffold.NAME]` tables of the configuration as a JSON object, "" without any; stronger files win."""
        import msgspec

        from katcli import config

        found: dict[str, Any] = {}
        for layer in reversed(config.layers(self._options["config"], not self._options["no_config"])):
            given = layer.table.get("scaffold")
            found |= given if isinstance(given, dict) else {}
        return msgspec.json.encode(found, order="sorted").decode() if found else ""

    # ------------------------------------------------------------------ output

    def beside(self, suffix: str) -> Path | None:
        """The name with `suffix` beside the output file; None where the output is no file."""
        path: Path | None = self._options["output"]
        if path in (None, Path("-")) or (path.exists() and not path.is_file()):
            return None
        return path.with_name(path.name + suffix)

    def stage(
        self,
        items: Iterable[Item],
        process: Callable[[Item], Iterable[Any]],
        kept: KeptItems | None = None,
        tally: Callable[[Any], Mapping[str, float]] | None = None,
        live: Callable[[], Mapping[str, float]] | None = None,
    ) -> None:
        """Process the items that are not finished yet and write what comes out.

        `kept` keeps what has ended and is not written yet; `tally` says what a record, or a `Rejected`, adds to the
        summary's numbers; `live` what a terminal shows of items that are still under way.
        """
        self._tally = tally
        self._live = live
        if self.dry_run:
            return self._plan(items)
        path = self._options["output"]
        path = None if path in (None, Path("-")) else path
        if self.resume and path is None:
            raise UsageError("--resume needs an output file", hint="add -o FILE")
        with locked(path, self._options["lock_wait"]):
            self._run(items, process, path, kept)

    def rows_only(self) -> None:
        """What the stage writes are JSON rows that are no records of KAT: only JSON lines, and none to resume from."""
        self._rows = True
        path, form = self._options["output"], self._options["format"]
        if form == "parquet" or (path is not None and not form and path.suffix == ".parquet"):
            raise UsageError("Parquet holds records of KAT only", hint="name a .jsonl or .jsonl.zst file")
        if self.resume:
            raise UsageError("--resume needs records of KAT in the output", hint="convert again: it takes no engine")

    def _run(
        self, items: Iterable[Item], process: Callable[[Item], Iterable[Any]], path: Path | None, kept: KeptItems | None
    ) -> None:
        from katcore import pool
        from katcore.streams import open_output

        fmt = self._options["format"]
        out = open_output(
            path, fmt, self.resume, rejects=self._options["rejects"],
            dead_letters=self._options["dead_letter"],
        )  # fmt: skip
        self.counts = {"in": 0, "out": 0, "skipped": 0, "rejected": 0, "dead": 0} | self.counts
        finished = False
        try:
            if kept is not None:
                kept.begin(out.finished if self.resume else None)
                kept.tell(self.log, self.count)
            around = None if kept is None else kept.around
            todo = self._todo(items, out)
            done = pool.run(process, todo, self.jobs, self.ray, around, ordered=self.ordered, idle=out.idle)
            with closing(done), self._ticking():
                for outcome in done:
                    self._write(out, outcome)
                    self._log.progress(self._now())
            out.finish()
            finished = True
            if kept is not None:
                kept.end()
        finally:
            if not finished:
                if kept is not None:
                    kept.cut()
                out.abandon()

    def _now(self) -> dict[str, Any]:
        return self.counts | dict(self._live()) if self._live else self.counts

    @contextmanager
    def _ticking(self) -> Iterator[None]:
        """Where somebody watches and items take long, the progress line moves between their ends too."""
        if self._live is None or not self._log.shows_progress:
            yield
            return
        over = threading.Event()

        def tick() -> None:
            while not over.wait(TICK_S):
                self._log.progress(self._now())

        ticker = threading.Thread(target=tick, name="kat-progress", daemon=True)
        ticker.start()
        try:
            yield
        finally:
            over.set()
            ticker.join()

    def _todo(self, items: Iterable[Item], out: Output | None) -> Iterator[Item]:
        from katcore.pool import shard_of

        index, shards = shard(self._options["shard"])
        for item in items:
            if shards > 1 and shard_of(item, shards) != index:
                continue
            if item.forward is None:
                self.count("in")
            if out is not None and item.key in out.finished:
                self.count("skipped", 0 if item.forward is not None else 1)
                continue
            yield item

    def _lines(self, done: Done) -> list[bytes]:
        """The lines that an item gives. RecordError when a reader would refuse one: then none is written."""
        from katcore.streams import checked

        if done.item.forward is not None or self._rows:
            return done.output
        return [checked(each) for each in done.output]

    def _write(self, out: Output, done: Done) -> None:
        from katcore.errors import RecordError
        from katcore.records import tag_of

        lines: list[bytes] = []
        try:
            lines = self._lines(done)
        except RecordError as error:
            done = replace(done, output=[], failed=error)
        if done.failed is not None:
            out.dead_letter(_side(done, done.failed.stage, error=done.failed.reason))
            self._dead(done)
            return
        if done.rejected is not None:
            why = done.rejected
            out.reject(_side(done, why.stage, reason=why.reason, evidence=why.evidence))
            self.count("rejected")
            by = self.counts.setdefault("rejected_by", {})
            by[why.stage] = by.get(why.stage, 0) + 1
            self._add(why)
        for record, line in zip(done.output, lines):
            if isinstance(record, bytes):
                out.write(line, done.item.key.partition(":")[0])
            else:
                out.write(line, tag_of(type(record)))
                self._add(record)
        if done.item.forward is None:
            self.count("out", len(done.output))
        out.commit(done.item.key)

    def _add(self, what: Any) -> None:
        for name, number in self._tally(what).items() if self._tally else ():
            self.counts[name] = round(self.counts.get(name, 0) + number, 6)

    def _dead(self, done: Done) -> None:
        self.count("dead")
        assert done.failed is not None
        self._log.warning(f"{done.item.key}: {done.failed.stage}: {done.failed.reason}")
        if done.failed.__cause__ is not None:
            self._log.traceback(done.failed.__cause__)
        most = self._options["max_failures"]
        if self._options["strict"] or (most is not None and self.counts["dead"] > most):
            raise TooManyFailures

    def _plan(self, items: Iterable[Item]) -> None:
        todo = [item for item in self._todo(items, None) if item.forward is None]
        self.counts["planned"] = len(todo)
        path = self._options["output"]
        self.log(f"would process {len(todo)} items and write {path or 'standard output'}")
        for item in todo[:20]:
            self.detail(f"  {item.key}")

    def text(self, text: str) -> None:
        """Text for people: to standard output, or whole and at once to -o FILE."""
        path = self._options["output"]
        if path in (None, Path("-")):
            sys.stdout.write(text if text.endswith("\n") else text + "\n")
            return
        write_whole(path, text if text.endswith("\n") else text + "\n")

    @contextmanager
    def folder(self, lock: bool = True) -> Iterator[Path]:
        """The folder of --out, made and locked; not `lock`: another process of the same run holds it."""
        out = self._options["out"]
        if out is None:
            raise UsageError("no output folder", hint="add --out DIR")
        if out.exists() and not out.is_dir():
            raise UsageError(f"{out}: is not a folder")
        with locked(out if lock else None, self._options["lock_wait"]):
            out.mkdir(parents=True, exist_ok=True)
            yield out


def shard(text: str) -> tuple[int, int]:
    """`I/N` as two numbers; nothing is `0/1`."""
    if not text:
        return 0, 1
    index, slash, shards = text.partition("/")
    if not (slash and index.isdigit() and shards.isdigit() and int(index) < int(shards)):
        raise UsageError(f"--shard {text}: write I/N with 0 <= I < N")
    return int(index), int(shards)


def _side(done: Done, stage: str, **why: Any) -> dict[str, Any]:
    """A line of a side file: which record, why, and the record itself where it came from a line."""
    import msgspec

    item, raw = done.item, done.item.raw
    kind, _, name = item.key.partition(":")
    told: dict[str, Any] = {
        "id": name,
        "kind": kind,
        "file": item.source or None,
        "line": item.line or None,
        "stage": stage,
        **why,
    }
    return {**_readable(told), "record": msgspec.Raw(raw) if raw else None}


def _readable(value: Any) -> Any:
    """The same with text that UTF-8 can hold: names of files need not be."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_readable(name): _readable(each) for name, each in value.items()}
    return [_readable(each) for each in value] if isinstance(value, list | tuple) else value


@contextmanager
def locked(path: Path | None, wait: float) -> Iterator[None]:
    """Hold `PATH.lock` for as long as the output is being written; the lock vanishes with the process."""
    if path is None:
        yield
        return
    name = path.with_name(path.name + ".lock")
    try:
        lock = take(name, wait)
    except BlockingIOError:
        raise BusyError(f"{path} is being written by another run", hint="--lock-wait SECONDS waits") from None
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield
    finally:
        name.unlink(missing_ok=True)
        os.close(lock)
