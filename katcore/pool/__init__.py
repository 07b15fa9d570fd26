"""Map a function over work items, on threads of this process (`threads.py`) or on a Ray cluster (`cluster.py`).

In: an iterator of items. Out: one outcome an item, in the order of the items or each when it is done. At most
`2 * jobs` items are held at a time, so that a stream stays a stream. Nothing is known here of files or of records.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from katcore.errors import KatError, RecordError, Rejected
from katcore.pool.threads import outcomes


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
    process: Process,
    items: Iterable[Item],
    jobs: int = 1,
    ray: str = "",
    around: Around | None = None,
    *,
    ordered: bool = True,
    idle: Callable[[], None] | None = None,
) -> Generator[Done, None, None]:
    """Outcomes of `items`; `jobs` threads here, or as many items in hand on the Ray cluster `ray`.

    `ordered`: in the order of the items, so that one that takes long holds up those behind it, and in the end the
    work; else each when it is done. `around` is called on this machine in place of settling an item, with the way to
    settle it. `idle` is called where outcomes are taken when none has come for a while.
    """
    if ray:
        yield from _run_ray(process, items, jobs, ray, around, ordered, idle)
        return
    here: Settle = _around(partial(settle, process), around)
    if jobs <= 1 and ordered:
        for item in items:
            yield here(item)
    else:
        yield from outcomes(here, items, jobs, ordered, idle)


def _around(inner: Settle, around: Around | None) -> Settle:
    return inner if around is None else partial(around, inner)


def _run_ray(
    process: Process,
    items: Iterable[Item],
    jobs: int,
    address: str,
    around: Around | None,
    ordered: bool,
    idle: Callable[[], None] | None,
) -> Iterator[Done]:
    """Outcomes from a cluster; each thread here waits for one item on it, so order and bound are the same."""
    from katcore.pool.cluster import cluster

    with cluster(process, _bare, address, jobs) as nodes:

        def there(item: Item) -> Done:
            if item.forward is not None:
                return settle(process, item)
            output, rejected, failed = nodes.settle(item)
            return Done(item, output, rejected, failed)

        yield from outcomes(_around(there, around), items, jobs, ordered, idle)


def _bare(process: Process, item: Item) -> tuple[list[Any], Rejected | None, RecordError | None]:
    """The outcome of an item without the item itself, which need not travel back."""
    done = settle(process, item)
    return done.output, done.rejected, done.failed
