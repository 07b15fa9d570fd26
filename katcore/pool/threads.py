"""A map over work items on threads of this process: outcomes in the order of the items, or each when it is done.

In: a way to settle an item, items, how many at a time. Out: outcomes. The threads read the input themselves, one at a
time, when they have nothing else to do, so that a slow input delays no outcome and nothing is read ahead of need. At
most `2 * jobs` items are held: those being worked on and those whose outcome nobody has taken yet, so that a slow
reader of the outcomes slows the work. A line that passes through is put out when it is read: ahead of all outcomes of
items behind it, in either order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Lock, Semaphore, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from katcore.pool import Done, Item, Settle

IDLE_S = 0.5
"""Seconds without an outcome after which whoever takes them is told so."""


@dataclass(frozen=True)
class _End:
    """The end of the input, or what broke it off; its number is how many items there were."""

    error: BaseException | None = None


Finished = SimpleQueue[tuple[int, "Done | _End | BaseException"]]
"""Numbers of items, from 0, with what became of them."""


class Workers:
    """Threads that read and settle items until the input ends or `stop` is called."""

    def __init__(self, settle: Settle, items: Iterable[Item], jobs: int) -> None:
        self.finished: Finished = SimpleQueue()
        self._settle, self._source = settle, iter(items)
        self._count = 0
        self._reading = Lock()
        self._room = Semaphore(2 * jobs)
        self._over = Event()
        for number in range(jobs):
            Thread(target=self._work, name=f"kat-{number}", daemon=True).start()

    def taken(self) -> None:
        """An outcome is out of hand: another item may be read."""
        self._room.release()

    def stop(self) -> None:
        """Read no more; what is being worked on goes on, and nobody hears of it."""
        self._over.set()
        self._room.release()

    def _work(self) -> None:
        while (found := self._next()) is not None:
            self._settled(*found)

    def _next(self) -> tuple[int, Item] | None:
        """The next item to work on, and its number; None when nothing more is to be read."""
        with self._reading:
            while not self._over.is_set():
                self._room.acquire()  # before the item is read: it counts as held
                if self._over.is_set():
                    break
                try:
                    item = next(self._source, None)
                except BaseException as error:  # noqa: BLE001 - handed to the thread that takes the outcomes
                    self._end(error)
                    break
                if item is None:
                    self._end()
                    break
                number, self._count = self._count, self._count + 1
                if item.forward is None:
                    return number, item
                self._settled(number, item)
        return None

    def _settled(self, number: int, item: Item) -> None:
        try:
            self.finished.put((number, self._settle(item)))
        except BaseException as error:  # noqa: BLE001 - handed to the thread that takes the outcomes
            self.finished.put((number, error))

    def _end(self, error: BaseException | None = None) -> None:
        self._over.set()
        self.finished.put((self._count, _End(error)))


def outcomes(
    settle: Settle, items: Iterable[Item], jobs: int, ordered: bool, idle: Callable[[], None] | None
) -> Iterator[Done]:
    """The outcomes; those of items that were read ahead of an error of the input come before it is raised."""
    workers = Workers(settle, items, jobs)
    arrived: dict[int, Done | BaseException] = {}
    given, end, broken = 0, -1, None
    try:
        while given != end:
            number, outcome = _awaited(workers.finished, idle)
            if isinstance(outcome, _End):
                end, broken = number, outcome.error
                continue
            arrived[number] = outcome
            while (turn := given if ordered else number) in arrived:
                due = arrived.pop(turn)
                given += 1
                if isinstance(due, BaseException):
                    raise due
                yield due
                workers.taken()
        if broken is not None:
            raise broken
    finally:
        workers.stop()


def _awaited(finished: Finished, idle: Callable[[], None] | None) -> tuple[int, Done | _End | BaseException]:
    """The next entry. Never one long wait: a signal that comes in the moment before a wait is heard only after it."""
    while True:
        with suppress(Empty):
            return finished.get(timeout=IDLE_S)
        if idle is not None:
            idle()
            idle = None
