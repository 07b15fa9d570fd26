"""What a run of rollouts keeps beside its output: whole records that `--resume` reads, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcore.pool import Done, Item
from katcore.records import Scaffold, Trajectory, Verdict
from katcore.rollout.kept import KeptAttempts


def attempt(**fields: object) -> Trajectory:
    known = {"id": "a", "task_id": "t", "group_id": "g", "scaffold": Scaffold(name="s"), "model": "m"}
    return Trajectory(**{**known, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize("odd", [{"patch": "\udce9"}, {"verdict": Verdict(reward=float("nan"))}])
def test_a_trajectory_that_nobody_could_read_is_a_dead_letter_and_not_kept(
    odd: dict[str, object], tmp_path: Path
) -> None:
    kept = KeptAttempts(tmp_path / "out.calls")
    kept.begin(None)
    item = Item("kat.trajectory/1:a")
    done = kept.around(lambda item: Done(item, [attempt(**odd)]), item)
    assert done.failed is not None and done.failed.stage == "output" and done.output == []
    assert list(kept.folder.iterdir()) == []
    done = kept.around(lambda item: Done(item, [attempt()]), item)
    again = kept.around(lambda item: Done(item), item)
    assert done.output == again.output == [attempt()]
