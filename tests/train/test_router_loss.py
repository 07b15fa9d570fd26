"""Balancing experts' loads over a tree in parts equals doing so path by path, in fp64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from katcore.errors import UsageError
from katcore.model.tree_lm import TreeLM
from katcore.records import Pack
from katcore.train.batch import steps
from katcore.train.objective import TrainObjective
from katcore.train.options import ObjectiveOptions, Optimizer
from katcore.train.trainer import Trainer
from tests.support.random_packs import Paths, make_pack, path_logprobs, tiny_model

pytestmark = pytest.mark.usefixtures("model_in_fp64")

COEFFICIENT = 0.7


def path_loss(model: Any, pack: Pack, paths: Paths) -> tuple[Tensor, Tensor]:
    """(cross-entropy, load-balancing loss), each sequence run by itself: method.md § 7.5 written out."""
    trained = pack.step_counts.trained_tokens
    logprobs = path_logprobs(model, paths)
    ce = sum((-ce * logprobs[s][at - 1] for s, at, _, _, ce, _ in paths.terms), torch.zeros(())) / trained
    routed = [
        model(input_ids=torch.tensor([ids]), use_cache=False, output_router_logits=True).router_logits
        for ids in paths.sequences
    ]
    layers, experts, k = len(routed[0]), routed[0][0].shape[-1], model.config.num_experts_per_tok
    total = sum(term[4] for term in paths.terms)
    balance = torch.zeros((), dtype=torch.float64)
    for layer in range(layers):
        f, p = torch.zeros(2, experts, dtype=torch.float64).unbind()
        for sample, at, _, _, weight, _ in paths.terms:
            probability = routed[sample][layer][at - 1].softmax(-1)
            p = p + weight / total * probability
            f = f.index_add(0, probability.topk(k).indices, torch.full((k,), weight / total, dtype=torch.float64))
        balance = balance + experts / layers * f.detach() @ p
    return ce, COEFFICIENT * balance


def trained(
    model: Any, packs: list[Pack], budget: int, coefficient: float = COEFFICIENT, recompute: bool = False
) -> Any:
    objective = TrainObjective("sft", ObjectiveOptions(router_loss=coefficient))
    trainer = Trainer(TreeLM(model), None, objective, Optimizer(lr=0.0, grad_clip=0.0), budget, recompute=recompute)
    (step,) = steps(packs, "token-mean")
    return trainer.take(step) if coefficient else trainer.gradients(step)


def gradients(model: Any) -> dict[str, Tensor]:
    return {name: torch.zeros_like(p) if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


def worst(got: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """Largest error over all parameters, relative to the parameter's largest gradient."""
    return max(float((got[n] - e).abs().max() / e.abs().max().clamp(min=1e-300)) for n, e in expected.items())


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("budget", [0, 1, 5, 12])
@pytest.mark.parametrize("seed", [3, 5])
def test_gradients_and_loss_equal_path_by_path(seed: int, budget: int, recompute: bool) -> None:
    pack, paths = make_pack(seed, trees=2, samples=5)
    model = tiny_model(seed, kind="qwen3-moe")
    ce, balance = path_loss(model, pack, paths)
    (ce + balance).backward()
    expected = gradients(model)
    model.zero_grad()
    metrics = trained(model, [pack], budget, recompute=recompute)
    assert worst(gradients(model), expected) <= 1e-10
    assert abs(metrics["router_loss"] - float(balance.detach())) <= 1e-10
    assert abs(metrics["loss"] - float(ce.detach())) <= 1e-10
    assert metrics["forward_only_tokens"] == metrics["tokens_computed"] == len(pack.tokens)
    assert 1 <= metrics["router_peak_load"] <= 4
    trained(model, [pack], budget, 0.0)
    assert worst(gradients(model), expected) > 1e-3, "without it the gradients are others"


def test_it_is_refused_where_it_means_nothing() -> None:
    with pytest.raises(UsageError, match="supervised"):
        TrainObjective("grpo", ObjectiveOptions(router_loss=0.1))
    with pytest.raises(UsageError, match="no experts"):
        Trainer(TreeLM(tiny_model(0)), None, TrainObjective("sft", ObjectiveOptions(router_loss=0.1)), Optimizer())
