"""Order or none, laziness and endings of the pool, whatever the number of threads."""

from __future__ import annotations

import pickle
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from queue import Queue

import pytest

from katcore.errors import InputError, KatError, RecordError, Rejected, SandboxError
from katcore.pool import Done, Item, Settle, run, seed_for, shard_of
from tests.support.waiting import until

WAIT_S = 30
"""After this long a test that waits for another thread fails."""


def items(n: int) -> list[Item]:
    return [Item(f"kat.sample/1:{i}", i) for i in range(n)]


def double(item: Item) -> list[int]:
    return [item.payload, item.payload]


def payloads(found: Iterable[Done]) -> list[object]:
    return [done.item.payload for done in found]


@pytest.mark.parametrize("jobs", [0, 1, 2, 7])
def test_outcomes_are_the_same_and_in_order_whatever_jobs(jobs: int) -> None:
    found = list(run(double, items(100), jobs))
    assert payloads(found) == list(range(100))
    assert [done.output for done in found] == [[i, i] for i in range(100)]


def test_the_order_is_that_of_the_items_when_later_ones_finish_first() -> None:
    later = threading.Event()

    def first_last(item: Item) -> list[int]:
        if item.payload == 0:
            assert later.wait(WAIT_S)
        if item.payload == 3:
            later.set()
        return [item.payload]

    assert [done.output for done in run(first_last, items(4), jobs=4)] == [[0], [1], [2], [3]]


def test_without_order_nobody_waits_for_one_that_takes_long() -> None:
    """The first ends when the last of the others is given, many times as many as may be held."""
    others = threading.Event()

    def first_last(item: Item) -> list[int]:
        if item.payload == 0:
            assert others.wait(WAIT_S)
        return [item.payload]

    given = []
    for done in run(first_last, items(100), jobs=2, ordered=False):
        given.append(done.item.payload)
        if len(given) == 99:
            others.set()
    assert given[-1] == 0 and sorted(given) == list(range(100))


def test_one_thread_keeps_the_order_by_itself() -> None:
    mixed = [Item("t", forward=b"{}"), *items(3), Item("u", forward=b"{}"), *items(3)]
    assert [done.item for done in run(double, mixed, jobs=1, ordered=False)] == mixed


@pytest.mark.parametrize("ordered", [True, False])
def test_a_line_that_passes_through_is_ahead_of_all_behind_it(ordered: bool) -> None:
    mixed = [Item(f"{n}", n, forward=b"{}" if n % 4 == 0 else None) for n in range(400)]
    given = payloads(run(double, mixed, jobs=8, ordered=ordered))
    assert sorted(given) == list(range(400))  # type: ignore[type-var]
    for task in range(0, 400, 4):
        behind = [given.index(n) for n in range(task + 1, min(task + 12, 400)) if n % 4]
        assert given.index(task) < min(behind)


def test_work_runs_at_once() -> None:
    together = threading.Barrier(3)
    found = list(run(lambda item: [together.wait(WAIT_S)], items(3), jobs=3))
    assert sorted(done.output[0] for done in found) == [0, 1, 2]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_at_most_twice_as_many_items_are_held_as_there_are_jobs(jobs: int, ordered: bool) -> None:
    read, given, worst = 0, 0, 0

    def counted() -> Iterator[Item]:
        nonlocal read, worst
        for item in items(60):
            read += 1
            worst = max(worst, read - given)
            yield item

    for _ in run(double, counted(), jobs, ordered=ordered):
        given += 1
    assert read == 60 and worst <= 2 * jobs


def test_a_slow_reader_of_the_outcomes_slows_the_work() -> None:
    """With one item stuck the others go on; with nobody to take what they give they stop at the bound."""
    stuck, read = threading.Event(), 0

    def counted() -> Iterator[Item]:
        nonlocal read
        for item in items(50):
            read += 1
            yield item

    found = run(lambda item: [stuck.wait(WAIT_S) if item.payload == 0 else 1], counted(), jobs=3, ordered=False)
    assert next(found).item.payload != 0
    until(lambda: read == 6)
    assert not stuck.wait(0.2) and read == 6
    stuck.set()
    assert len(list(found)) == 49


def test_an_input_without_end_is_read_only_as_far_as_needed() -> None:
    def forever() -> Iterator[Item]:
        number = 0
        while True:
            yield Item(str(number), number)
            number += 1

    found = run(double, forever(), jobs=2)
    assert payloads(next(found) for _ in range(10)) == list(range(10))
    found.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("jobs", [1, 4])
def test_finished_work_is_handed_on_while_the_input_is_idle(jobs: int, ordered: bool) -> None:
    source: Queue[Item | None] = Queue()
    found = run(double, iter(source.get, None), jobs, ordered=ordered)
    for item in items(5):
        source.put(item)
        assert next(found).item is item  # the input has nothing more now, and has not ended
    source.put(None)
    assert list(found) == []


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("jobs", [1, 4])
def test_an_error_of_the_input_ends_the_stage_after_what_came_before_it(jobs: int, ordered: bool) -> None:
    def broken() -> Iterator[Item]:
        yield from items(3)
        raise InputError("line 4 is no JSON")

    seen = []
    with pytest.raises(InputError, match="line 4"):
        for done in run(double, broken(), jobs, ordered=ordered):
            seen.append(done.item.payload)
    assert sorted(seen) == [0, 1, 2]


@pytest.mark.parametrize("jobs", [1, 4])
def test_errors_of_the_whole_command_end_the_stage_in_their_place(jobs: int) -> None:
    def stop_at_two(item: Item) -> list[int]:
        if item.payload == 2:
            raise SandboxError("no boxes here")
        return [item.payload]

    seen = []
    with pytest.raises(KatError, match="no boxes"):
        for done in run(stop_at_two, items(50), jobs):
            seen.append(done.item.payload)
    assert seen == [0, 1]


def test_an_error_of_the_whole_command_is_not_held_up_by_work_that_takes_long() -> None:
    never = threading.Event()

    def stop_at_two(item: Item) -> list[int]:
        if item.payload == 2:
            raise SandboxError("no boxes here")
        return [never.wait(WAIT_S)]

    with pytest.raises(KatError, match="no boxes"):
        list(run(stop_at_two, items(50), jobs=3, ordered=False))
    assert not never.is_set()
    never.set()


def test_who_takes_the_outcomes_is_told_once_when_none_comes_for_a_while() -> None:
    told, seen = threading.Event(), []

    def waits(item: Item) -> list[bool]:
        return [item.payload == 0 or told.wait(WAIT_S)]

    def idle() -> None:
        seen.append("idle")
        told.set()

    for done in run(waits, items(2), jobs=2, ordered=False, idle=idle):
        seen.append(done.item.payload)
    assert seen == [0, "idle", 1]


def test_a_signal_that_another_thread_took_is_heard_while_all_work_takes_long() -> None:
    """As one is that comes in the moment before the wait: nothing wakes the thread that waits."""
    heard, here = threading.Event(), signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, lambda *_: heard.set())
    try:

        def waits(item: Item) -> list[bool]:
            time.sleep(0.2)  # the other thread has begun to wait
            signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
            return [heard.wait(WAIT_S)]

        assert [done.output for done in run(waits, items(1), jobs=1, ordered=False)] == [[True]]
    finally:
        signal.signal(signal.SIGUSR1, here)


@pytest.mark.parametrize("jobs", [1, 3])
def test_what_becomes_of_one_record_leaves_the_others_alone(jobs: int) -> None:
    def moody(item: Item) -> Iterator[int]:
        yield item.payload
        if item.payload == 1:
            raise Rejected("flaky", "two runs differ", {"runs": 2})
        if item.payload == 2:
            raise RecordError("task", "no such task")
        if item.payload == 3:
            raise ZeroDivisionError("division by zero")

    found = list(run(moody, items(5), jobs))
    assert [done.output for done in found] == [[0], [], [], [], [4]], "half an output is none"
    rejected, failed, bug = found[1].rejected, found[2].failed, found[3].failed
    assert rejected and (rejected.stage, rejected.evidence) == ("flaky", {"runs": 2})
    assert failed and (failed.stage, failed.reason) == ("task", "no such task")
    assert bug and (bug.stage, bug.reason) == ("internal", "ZeroDivisionError: division by zero")
    assert isinstance(bug.__cause__, ZeroDivisionError), "-vv can show where"


@pytest.mark.parametrize("jobs", [1, 3])
def test_lines_that_pass_through_are_not_processed(jobs: int) -> None:
    mixed = [Item("a", 0), Item("kat.task/1:t", forward=b'{"x": 1}'), Item("b", 1)]

    def never(item: Item) -> list[int]:
        assert item.forward is None
        return [item.payload]

    assert [done.output for done in run(never, mixed, jobs)] == [[0], [b'{"x": 1}'], [1]]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_reader_that_leaves_ends_the_work(ordered: bool) -> None:
    started: list[object] = []

    def work(item: Item) -> list[object]:
        started.append(item.payload)
        return []

    found = run(work, items(1000), jobs=2, ordered=ordered)
    next(found)
    found.close()  # type: ignore[attr-defined]
    assert len(started) <= 4 + 1


def test_seeds_differ_by_key_and_seed_and_stay_what_they_were() -> None:
    seeds = {seed_for(seed, key) for seed in (0, 1) for key in ("kat.task/1:a", "kat.task/1:b", "")}
    assert len(seeds) == 6 and all(0 <= seed < 2**63 for seed in seeds)
    assert seed_for(0, "kat.task/1:a") == 8200755914170088503  # recorded once: old runs must be repeatable
    assert seed_for(1, "1:x") != seed_for(11, ":x")


@pytest.mark.parametrize("shards", [1, 2, 3, 16])
def test_shards_are_a_partition(shards: int) -> None:
    every = items(500)
    split = [[item.key for item in every if shard_of(item, shards) == index] for index in range(shards)]
    assert sorted(key for part in split for key in part) == sorted(item.key for item in every)
    assert all(len(part) > 250 / shards for part in split), "about even"


def test_a_group_stays_in_one_shard() -> None:
    group = [Item(f"kat.trajectory/1:{i}", shard="task-7") for i in range(50)]
    assert len({shard_of(item, 8) for item in [*group, Item("task-7")]}) == 1


@pytest.mark.parametrize("error", [RecordError("task", "no"), Rejected("flaky", "two", {"runs": 2})])
def test_outcomes_cross_to_another_process_as_they_are(error: RecordError | Rejected) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert str(back) == str(error) == f"{error.stage}: {error.reason}" and vars(back) == vars(error)


def test_work_is_done_around_on_this_side() -> None:
    seen = []

    def around(settle: Settle, item: Item) -> Done:
        seen.append(item.payload)
        return Done(item, ["kept"]) if item.payload == 1 else settle(item)

    found = list(run(double, items(3), jobs=2, around=around))
    assert [done.output for done in found] == [[0, 0], ["kept"], [2, 2]] and sorted(seen) == [0, 1, 2]
