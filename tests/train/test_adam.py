"""Master weights: a bf16 model moves as its fp32 copy does, gradients are summed in fp32, and a resumed one goes on."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from katcore.model.tree_lm import TreeLM
from katcore.train.adam import Adam
from katcore.train.objective import TrainObjective
from katcore.train.options import Optimizer
from katcore.train.trainer import Trainer
from tests.support.random_packs import make_pack, tiny_model


def test_steps_too_small_for_bf16_add_up() -> None:
    own = nn.Parameter(torch.ones(4, dtype=torch.bfloat16))
    adam = Adam([own], Optimizer(grad_clip=0.0))
    for _ in range(40):
        adam.zero_grad()
        own.float().sum().backward()
        adam.clip()
        adam.step(1e-4)
    # 1 − 1e-4 is 1 in bf16, whose steps below 1 are 1/256; forty of them are 0.004
    assert own.tolist() == [torch.tensor(0.996).bfloat16().item()] * 4


def test_gradients_are_summed_in_fp32() -> None:
    own = nn.Parameter(torch.zeros(1, dtype=torch.bfloat16))
    adam = Adam([own], Optimizer(grad_clip=0.0))
    for share in [1.0, *[1 / 1024] * 64]:
        (own * share).sum().backward()
    assert own.grad is None
    assert [g.tolist() for g in adam.gradients if g is not None] == [[1 + 64 / 1024]]  # in bf16 it would be 1.0


def test_the_norm_is_right_where_fp32_loses_it_and_clips() -> None:
    torch.manual_seed(0)
    own = nn.Parameter(torch.zeros(1 << 17))
    adam = Adam([own], Optimizer(grad_clip=0.5))
    own.grad = torch.randn(1 << 17) * 1e-3
    expected = float(own.grad.double().norm())
    assert adam.clip() == pytest.approx(expected, rel=1e-12)
    own.grad = torch.ones(1 << 17)
    adam.clip()
    assert float(own.grad.double().norm()) == pytest.approx(0.5, rel=1e-5)


def test_a_resumed_bf16_trainer_takes_the_same_step() -> None:
    def trainer() -> Trainer:
        lm = TreeLM(tiny_model(0, torch.bfloat16))
        return Trainer(lm, None, TrainObjective("sft"), Optimizer(lr=1e-3))

    first, second = trainer(), trainer()
    pack = make_pack(1)[0]
    first.step([pack])
    with torch.no_grad():
        for a, b in zip(second.parameters, first.parameters):
            a.copy_(b)
    second.restore(deepcopy(first.state()))
    assert first.step([pack])["loss"] == second.step([pack])["loss"]
    assert all(torch.equal(a, b) for a, b in zip(first.state()["masters"], second.state()["masters"]))
    assert all(m.dtype == torch.float32 for m in first.state()["masters"])
