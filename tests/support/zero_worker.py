"""One of two processes that train as one under DeepSpeed, beside the same training in one process: run by a test.

Usage: python -m tests.support.zero_worker CASE...     CASE: STAGE:MODEL:OBJECTIVE     one JSON line a case, on rank 0
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import msgspec
import torch

from katcore.model.tree_lm import TreeLM
from katcore.records import Pack, StepCounts
from katcore.train.losses import LossSettings
from katcore.train.objective import TrainObjective
from katcore.train.options import ObjectiveOptions, Optimizer
from katcore.train.trainer import Trainer
from katcore.train.world import World
from katcore.train.zero import start
from tests.support.random_packs import VOCAB, make_pack, tiny_model

OBJECTIVES = {
    "sft": TrainObjective("sft"),
    "balanced": TrainObjective("sft", ObjectiveOptions(router_loss=0.3)),
    "gspo": TrainObjective("gspo", ObjectiveOptions(difficulty_weight=0.5)),
    "grpo": TrainObjective("grpo", ObjectiveOptions(updates=2, loss=LossSettings(kl_ref=0.1), passes=2)),
}
BUDGET = 9
"""Less than a path: parts below parts, of another number on each rank."""


def step_of(number: int, count: int) -> list[Pack]:
    """The packs of one step: trees of several sizes, with the whole step's counts."""
    packs = [make_pack(100 * number + i, trees=1 + i % 3, samples=2 + i)[0] for i in range(count)]
    names = StepCounts.__struct_fields__
    counts = StepCounts(**{name: sum(getattr(pack.step_counts, name) for pack in packs) for name in names})
    return [msgspec.structs.replace(pack, step=number, step_counts=counts) for pack in packs]


def trainer(kind: str, objective: TrainObjective, **options: Any) -> Trainer:
    """In fp32; of a mixture as of a dense model all weights are small enough that log-probs differ."""
    reference = TreeLM(tiny_model(1, torch.float32)) if objective.settings.kl_ref else None
    lm = TreeLM(tiny_model(0, torch.float32, kind))
    return Trainer(lm, None, objective, Optimizer(lr=1e-3), BUDGET, reference=reference, **options)


def case(text: str, world: World) -> dict[str, Any]:
    stage, kind, name = text.split(":")
    objective = OBJECTIVES[name]
    table = {"zero_optimization": {"stage": int(stage), "stage3_param_persistence_threshold": 0}}
    together, alone = trainer(kind, objective, deepspeed=table, world=world), trainer(kind, objective)
    worst = {"metrics": 0.0, "weights": 0.0}
    for number, count in enumerate((3, 1)):  # in the second step one rank has nothing to do
        packs = step_of(number, count)
        got, expected = together.step(packs), alone.step(packs)
        expected.pop("activation_bytes_estimate")  # nobody estimates what DeepSpeed moves about
        assert got.keys() == expected.keys()
        for key in expected.keys() - {"seconds", "mcla_cost"}:
            worst["metrics"] = max(worst["metrics"], abs(got[key] - expected[key]) / max(1.0, abs(expected[key])))
    assert together.zero is not None
    weights = together.zero.weights()
    if world.first:
        for key, weight in alone.lm.model.named_parameters(remove_duplicate=False):
            worst["weights"] = max(worst["weights"], float((weights[key] - weight).abs().max()))
    orders = [slot.order for slot in together.passes.begin(_first_step(packs, objective)).slots]
    empty = sum(part < 0 for order in orders if order is not None for part in order.part)
    return {"case": text, **worst, "empty": sum(world.all_gather(empty)), "tied": weights.keys() >= {"lm_head.weight"}}


def _first_step(packs: list[Pack], objective: TrainObjective) -> Any:
    from katcore.train.batch import steps

    return next(steps(packs, objective.reducer))


if __name__ == "__main__":
    world = World.of_launcher()
    start(world)
    for text in sys.argv[1:]:
        found = case(text, world)
        if world.first:
            print(json.dumps(found | {"vocabulary": VOCAB}), flush=True)
    world.leave()
    os._exit(0)  # as kat-train does: threads of DeepSpeed's groups are still there
