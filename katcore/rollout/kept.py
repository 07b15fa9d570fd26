"""What a run keeps beside its output until that is whole: calls of rollouts under way, and finished trajectories.

In: `FILE.calls/` of an output FILE. There the gateway journals each rollout's calls (`ID.jsonl`), and a rollout that
has ended lies (`ID.done`) from its last moment on: until it is written it may wait for a slow reader, for the block
that goes to the disk as one or, with `--ordered`, for its turn. After a kill `--resume` takes those that had ended and
are not in the output as they are and makes the others anew; what these had been answered stays as `ID.cut-N.jsonl`,
which `kat-rollout gateway --recover --journals FILE.calls` turns into trajectories.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import msgspec

from katcore.disk.whole import PART, write_whole
from katcore.errors import RecordError
from katcore.gateway import journal
from katcore.pool import Done, Item, Settle
from katcore.records import Trajectory
from katcore.streams import checked

DONE = ".done"
OPEN = ".jsonl"
CUT = ".cut-"


@dataclass
class LeftBehind:
    """What an earlier run left: finished trajectories, rollouts that were cut off, and the calls answered in those."""

    finished: int = 0
    cut: int = 0
    calls: int = 0


@dataclass
class KeptAttempts:
    """The folder of one run. `begin` under the output's lock, `end` when the output is whole, `cut` when it is not."""

    folder: Path
    found: LeftBehind = field(default_factory=LeftBehind)
    _cut: Event = field(default_factory=Event)

    def begin(self, written: Collection[str] | None) -> None:
        """Read what an earlier run left; `written` are the keys in its output. None: what there is is another run's."""
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.glob(f"*{PART}*"):
            path.unlink()
        names = {_name(key) for key in written or ()}
        for path in self.folder.glob(f"*{DONE}"):
            if written is None:
                path.unlink()
                continue
            self._unlink_journals(list(_read(path)))
            if path.name.removesuffix(DONE) in names:
                path.unlink()
            else:
                self.found.finished += 1
        for path in sorted(self.folder.glob(f"*{OPEN}")):
            if CUT not in path.name:
                self._set_aside(path)

    def tell(self, say: Callable[[str], None], count: Callable[[str, float], None]) -> None:
        """Say with `say` what was found, a line each, and count it with `count`."""
        found = self.found
        if found.finished:
            count("taken_back", found.finished)
            say(f"{found.finished} rollouts had ended when an earlier run was killed: taken as they are")
        if found.cut:
            count("cut_off", found.cut)
            count("cut_off_calls", found.calls)
            say(
                f"{found.cut} rollouts were cut off when an earlier run was killed, after {found.calls} answered "
                f"calls: made anew; the calls stay in {self.folder}"
            )

    def around(self, settle: Settle, item: Item) -> Done:
        """What `settle` makes of an item, or what an earlier run made of it."""
        if item.forward is not None:
            return settle(item)
        path = self.folder / f"{_name(item.key)}{DONE}"
        if path.exists():
            return Done(item, list(_read(path)))
        done = settle(item)
        if done.output and not self._cut.is_set():
            try:
                lines = [checked(record) + b"\n" for record in done.output]
            except RecordError as error:
                return Done(item, failed=error)
            write_whole(path, b"".join(lines))
            self._unlink_journals(done.output)
        return done

    def cut(self) -> None:
        """The run ends before its time: what ends from now on may have been made to, and is not kept."""
        self._cut.set()

    def end(self) -> None:
        """Remove what is kept, as the output is whole, but for the calls of rollouts that were cut off."""
        for path in self.folder.iterdir():
            if CUT not in path.name:
                path.unlink()
        with suppress(OSError):  # not empty
            self.folder.rmdir()

    def _set_aside(self, path: Path) -> None:
        """Keep the journal of a rollout that will be made anew, if anything was answered in it."""
        read = journal.read_journal(path)
        if not read.calls and not read.unfinished:
            path.unlink()
            return
        self.found.cut += 1
        self.found.calls += sum(call.error is None for call in read.calls)
        name, number = path.name.removesuffix(OPEN), 1
        while (target := self.folder / f"{name}{CUT}{number}{OPEN}").exists():
            number += 1
        path.rename(target)

    def _unlink_journals(self, ended: Sequence[Trajectory]) -> None:
        """Remove the journals of trajectories that are safe: one of each draw, and of each box that failed."""
        names = {record.id for record in ended}
        names |= {f"{record.id}-draw{number}" for record in ended for number in range(1, len(ended))}
        for name in names:
            (self.folder / f"{name}{OPEN}").unlink(missing_ok=True)
            (self.folder / f"{name}-failed{OPEN}").unlink(missing_ok=True)


def _name(key: str) -> str:
    return key.partition(":")[2]


def _read(path: Path) -> Iterator[Trajectory]:
    for line in path.read_bytes().removesuffix(b"\n").split(b"\n"):
        yield msgspec.json.decode(line, type=Trajectory)
