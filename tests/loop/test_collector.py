"""What an iteration collects: in the order of tasks and samples, while nobody waits for an attempt that takes long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest

from katcore.loop import collector
from katcore.loop.collector import Collector
from katcore.loop.graded import Stage
from katcore.loop.plan import plan
from katcore.pool import Item
from katcore.records import Trajectory, encode
from katcore.streams import read_records
from katcore.train.options import InitOptions
from tests.support.rollout_tasks import task

SAMPLES = 4
RUN = f"""
model = "M"
tasks = ["tasks.jsonl"]
[rollout]
samples = {SAMPLES}
jobs = 2
max-turns = 1
max-completion = 4
timeout = 60.0
"""


@pytest.mark.slow
def test_the_order_is_that_of_the_tasks_whoever_ends_first(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt ends when all others have, twice as many as are held at a time."""
    from katcore.train.init import init

    init(tmp_path / "M", InitOptions(layers=1, hidden=32, heads=2, kv_heads=1))
    (tmp_path / "tasks.jsonl").write_bytes(b"".join(encode(task(name)) + b"\n" for name in ("t1", "t2")))
    (tmp_path / "RUN.toml").write_text(RUN)
    real, others, lock, left = collector.stage_of, Event(), Lock(), [2 * SAMPLES - 1]

    def first_last(*given: Any) -> Stage:
        stage = real(*given)

        def process(item: Item) -> Iterable[Any]:
            if (item.payload.task.instance_id, item.payload.sample) == ("t1", 0):
                assert others.wait(120)
                return stage.process(item)
            made = list(stage.process(item))
            with lock:
                left[0] -= 1
                if not left[0]:
                    others.set()
            return made

        return replace(stage, process=process)

    monkeypatch.setattr(collector, "stage_of", first_last)
    running = Collector(plan(tmp_path / "RUN.toml"), tmp_path / "M")
    try:
        lines = running.collect(0, tmp_path)
    finally:
        running.close()
    attempts = [line.record for line in lines if isinstance(line.record, Trajectory)]
    wanted = [(name, sample) for name in ("t1", "t2") for sample in range(SAMPLES)]
    assert [(each.task_id, each.sample_index) for each in attempts] == wanted
    assert [line.raw for line in read_records([tmp_path / "iteration-1.jsonl.zst"])] == [line.raw for line in lines]
