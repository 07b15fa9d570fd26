"""A step's memory: said before it runs, and one clear line where it is more than there is."""

from __future__ import annotations

import pytest

from katcore.errors import KatError
from katcore.model.tree_lm import TreeLM
from katcore.train import memory
from katcore.train.batch import steps
from katcore.train.objective import TrainObjective
from katcore.train.options import Optimizer
from katcore.train.trainer import Trainer
from tests.support.random_packs import make_pack, tiny_model


def trainer(budget: int) -> tuple[Trainer, list[str]]:
    made = Trainer(TreeLM(tiny_model(3)), None, TrainObjective("sft"), Optimizer(), budget)
    said: list[str] = []
    assert made.memory is not None
    made.memory.say = said.append
    return made, said


def test_a_step_with_a_budget_says_what_it_needs_once() -> None:
    pack, _ = make_pack(3)
    (step,) = steps([pack], "token-mean")
    made, said = trainer(10)
    first = made.take(step)
    second = made.take(step)
    assert first["activation_bytes_estimate"] == second["activation_bytes_estimate"] > 0
    (line,) = said
    assert line.startswith("memory of a step: ") and "tokens with activations at" in line and "tokens above at" in line
    assert "of gradients and optimiser" in line


def test_a_step_far_from_the_memory_is_not_measured() -> None:
    pack, _ = make_pack(3)
    (step,) = steps([pack], "token-mean")
    made, said = trainer(0)
    assert "activation_bytes_estimate" not in made.take(step) and not said


def test_a_step_that_does_not_fit_is_refused_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    pack, _ = make_pack(3)
    (step,) = steps([pack], "token-mean")
    made, _ = trainer(0)
    before = [p.detach().clone() for p in made.parameters]
    monkeypatch.setattr(memory, "free_bytes", lambda device: 500_000)
    with pytest.raises(KatError, match=r"a step needs .* MiB of memory, and 0.5 MiB are free") as refused:
        made.take(step)
    assert "--budget " in str(refused.value.hint)
    assert all((p == old).all() for p, old in zip(made.parameters, before))


def test_the_free_memory_of_this_machine_is_a_number() -> None:
    assert memory.free_bytes(TreeLM(tiny_model(1)).device) > 1 << 20
