"""Map a function over work items, in order, on threads of this process or on a Ray cluster.

In: an iterator of items. Out: one outcome an item, in the order of the items, whatever finishes first. At most
`2 * jobs` items are held at a time, so that a stream stays a stream. Nothing is known here of files or of records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Event, Semaphore, Thread
from typing import Any

from katcore.errors import KatError, RecordError, Rejected


@dataclass(frozen=True)
class Item:
    """One piece of work: a record, a sample of a task, a group of trajectories.

    `key` is what `--resume` remembers and seeds derive from. `shard` is what `--shard i/n` divides by (a task's id, so
    that groups stay whole). `forward` is a line that passes through as it is: nothing is done with it. `raw` is the
    input kept for a dead letter, `source` the file in which it was, at `line`.
    """

    key: str
    payload: Any = None
    shard: str = ""
    forward: bytes | None = None
    raw: bytes = b""
    line: int = 0
    source: str = ""


@dataclass(frozen=True)
class Done:
    """The outcome of an item: its output, or the reason why there is none."""

    item: Item
    output: list[Any] = field(default_factory=list)
    rejected: Rejected | None = None
    failed: RecordError | None = None


Process = Callable[[Item], Iterable[Any]]
Settle = Callable[[Item], Done]
Around = Callable[[Settle, Item], Done]


def seed_for(seed: int, key: str) -> int:
    """A seed of its own for each item, so that results depend neither on `-j` nor on the order of work (63 bits)."""
    digest = hashlib.sha256(f"{seed}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def shard_of(item: Item, shards: int) -> int:
    """The shard that an item belongs to: a function of its content alone."""
    digest = hashlib.sha256((item.shard or item.key).encode()).digest()
    return int.from_bytes(digest[:8], "big") % shards


def unforeseen(error: Exception) -> RecordError:
    """A mistake in how one record was treated, as the reason why there is nothing of it."""
    reason = RecordError("internal", f"{type(error).__name__}: {error}")
    reason.__cause__ = error
    return reason


def settle(process: Process, item: Item) -> Done:
    """Run one item. A rejection or a dead letter is an outcome; a KatError ends the stage.

    Anything else is a mistake in how we treat this one record: it is kept as a dead letter, so that a job over many
    thousand records does not end on one of them.
    """
    if item.forward is not None:
        return Done(item, [item.forward])
    try:
        return Done(item, list(process(item)))
    except Rejected as reason:
        return Done(item, rejected=reason)
    except RecordError as reason:
        return Done(item, failed=reason)
    except KatError:
        raise
    except Exception as error:  # noqa: BLE001 - see above
        return Done(item, failed=unforeseen(error))


def run(
    process: Process, items: Iterable[Item], jobs: int = 1, ray: str = "", around: Around | None = None
) -> Iterator[Done]:
    """Outcomes in the order of `items`; `jobs` threads here, or as many items in hand on the Ray cluster `ray`.

    `around` is called on this machine in place of settling an item, with the way to settle it.
    """
    if ray:
        yield from _run_ray(process, items, jobs, ray, around)
        return
    here: Settle = _around(partial(settle, process), around)
    if jobs <= 1:
        for item in items:
            yield here(item)
    else:
        yield from _run_threads(here, items, jobs)


def _around(inner: Settle, around: Around | None) -> Settle:
    return inner if around is None else partial(around, inner)


def _run_threads(here: Settle, items: Iterable[Item], jobs: int) -> Iterator[Done]:
    """Outcomes in order from threads here; a feeder thread reads `items`, so that a slow input delays no outcome."""
    pool = ThreadPoolExecutor(jobs, thread_name_prefix="kat")
    waiting: SimpleQueue[Future[Done] | BaseException | None] = SimpleQueue()
    room = Semaphore(2 * jobs)
    stopped = Event()

    def feed() -> None:
        source = iter(items)
        try:
            while True:
                room.acquire()  # before the item is read: it counts as held
                if stopped.is_set():
                    return
                item = next(source, None)
                if item is None:
                    break
                waiting.put(pool.submit(here, item))
            waiting.put(None)
        except BaseException as error:  # noqa: BLE001 - handed to the thread that reads the outcomes, which raises it
            waiting.put(error)

    Thread(target=feed, name="kat-feed", daemon=True).start()
    try:
        while (future := waiting.get()) is not None:
            if isinstance(future, BaseException):
                raise future
            yield future.result()
            room.release()
    finally:
        stopped.set()
        room.release()
        pool.shutdown(wait=False, cancel_futures=True)


def _run_ray(process: Process, items: Iterable[Item], jobs: int, address: str, around: Around | None) -> Iterator[Done]:
    """Outcomes in order from a cluster; each thread here waits for one item on it, so the bound is the same."""
    from katcore.pool.cluster import cluster

    with cluster(process, _bare, address, jobs) as nodes:

        def there(item: Item) -> Done:
            if item.forward is not None:
                return settle(process, item)
            output, rejected, failed = nodes.settle(item)
            return Done(item, output, rejected, failed)

        yield from _run_threads(_around(there, around), items, jobs)


def _bare(process: Process, item: Item) -> tuple[list[Any], Rejected | None, RecordError | None]:
    """The outcome of an item without the item itself, which need not travel back."""
    done = settle(process, item)
    return done.output, done.rejected, done.failed
