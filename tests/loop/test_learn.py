"""The optimiser steps of one iteration: how many are taken of what was graded."""

from __future__ import annotations

from pathlib import Path

import pytest

from katcore.loop.learn import take_steps
from katcore.loop.plan import tables
from katcore.train.init import init
from katcore.train.options import InitOptions
from katcore.train.trainer import Trainer
from tests.support.trajectories import attempt, lines, node


def group(name: str, token: int) -> list[object]:
    """Two attempts at a task, one of which passed."""
    return [
        attempt([node(0, None, [1, 2]), node(1, 0, [token, 4 + sample], True)], sample, name, reward=float(sample))
        for sample in range(2)
    ]


@pytest.mark.parametrize(("limit", "taken"), [(0, [4, 8]), (3, [3, 3]), (4, [4, 4]), (5, [4, 5])])
def test_no_step_more_than_max_steps(tmp_path: Path, limit: int, taken: list[int]) -> None:
    folder = tmp_path / "M"
    init(folder, InitOptions(layers=1, hidden=32, heads=2, kv_heads=1))
    given = {"train": {"max-steps": limit}, "pack-trie": {"groups-per-step": 1}}
    file = tables(tmp_path / "RUN.toml", given)
    trainer = Trainer.load(folder, file.train)
    trainer.tokenizer = ""  # those of the hand-made attempts are nobody's
    graded = lines(*(one for number in range(4) for one in group(f"g{number}", 5 + number)))
    steps = []
    for _ in range(2):
        take_steps(trainer, graded, file)
        steps.append(trainer.steps)
    assert steps == taken
