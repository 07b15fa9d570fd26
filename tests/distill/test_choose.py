"""The best expert per task: by mean reward, masked attempts aside, whatever the order."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from katcore.distill.choose import choose, read_choices
from katcore.errors import InputError
from katcore.records import Scaffold, Trajectory, Verdict


def attempt(task: str, reward: float | None, masked: bool = False) -> Trajectory:
    verdict = None if reward is None else Verdict(reward=reward, passed=reward == 1, masked=masked)
    name = f"{task}{random.random()}"
    return Trajectory(id=name, task_id=task, group_id=task, scaffold=Scaffold(name="x"), model="m", verdict=verdict)


ATTEMPTS = [
    *(("b", attempt("t1", r)) for r in (1, 1, 0, 0)),
    *(("a", attempt("t1", r)) for r in (1, 0, 0, 0)),
    ("a", attempt("t1", 1, masked=True)),
    ("a", attempt("t1", 1, masked=True)),
    ("b", attempt("t2", 0.5)),
    ("a", attempt("t2", 0.5)),
    ("a", attempt("t3", 0, masked=True)),
    ("c", attempt("t4", 1)),
    ("a", attempt("t4", 0.4)),
    ("a", attempt("t4", 0.4)),
]


def test_the_highest_mean_reward_wins_and_the_first_name_a_tie() -> None:
    made = {c.task_id: c for c in choose(ATTEMPTS)}
    assert {task: c.expert for task, c in made.items()} == {"t1": "b", "t2": "a", "t4": "c"}
    assert (made["t1"].pass_rate, made["t1"].n) == (0.5, 4)
    assert made["t1"].candidates["a"].n == 4  # its masked attempts say nothing


def test_the_order_of_the_input_does_not_matter() -> None:
    shuffled = random.Random(3).sample(ATTEMPTS, len(ATTEMPTS))
    assert list(choose(shuffled)) == list(choose(ATTEMPTS))


def test_too_few_samples_are_not_chosen() -> None:
    made = {c.task_id: c for c in choose(ATTEMPTS, min_samples=2)}
    assert {task: c.expert for task, c in made.items()} == {"t1": "b", "t4": "a"}
    assert made["t4"].candidates["c"].n == 1


def test_trajectories_must_be_graded() -> None:
    with pytest.raises(InputError, match="verdict"):
        list(choose([("a", attempt("t", None))]))


def test_a_file_that_is_no_choice_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "c").write_text('{"task_id":"t","expert":"a","pass_rate":1,"n":1,"candidates":{}}\n{"expert":1}\n')
    with pytest.raises(InputError, match="line 2"):
        read_choices(tmp_path / "c")
