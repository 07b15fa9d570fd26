"""Averaging of passes: the mean, the variance seen on the second, when it stops, and passes that really differ."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from katcore.errors import UsageError
from katcore.model.tree_lm import Forest, TreeLM
from katcore.train.mcla import Averaging, anchored, averaged, shuffled_siblings
from tests.support.random_packs import make_pack, tiny_model


class Noisy:
    """Passes over the same tokens with noise of a known size; `asked` lists the passes that were run."""

    def __init__(self, size: int, sigma: float) -> None:
        self.true = -torch.rand(size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        self.sigma = sigma
        self.asked: list[int] = []

    def __call__(self, k: int) -> Tensor:
        self.asked.append(k)
        noise = torch.randn(len(self.true), dtype=torch.float64, generator=torch.Generator().manual_seed(k + 1))
        return self.true + self.sigma * noise


@pytest.mark.parametrize("passes", [2, 8])
def test_the_mean_of_k_passes_has_a_kth_of_the_variance(passes: int) -> None:
    noisy = Noisy(20_000, 0.1)
    got = averaged(noisy, Averaging(passes))
    every = [Noisy(20_000, 0.1)(k) for k in range(passes)]
    assert noisy.asked == list(range(passes)) and got.passes == passes and not got.stopped
    assert got.logprob.tolist() == pytest.approx((sum(every) / passes).tolist(), rel=1e-12)  # type: ignore[union-attr]
    assert got.variance == pytest.approx(0.01, rel=0.05)
    assert float((got.logprob - noisy.true).var()) == pytest.approx(0.01 / passes, rel=0.05)
    assert got.remaining_variance == pytest.approx(0.01 / passes, rel=0.05)


def test_copies_end_after_the_second_pass_with_the_first_as_it_was() -> None:
    noisy = Noisy(100, 0.0)
    got = averaged(noisy, Averaging(8))
    assert noisy.asked == [0, 1] and got.stopped and got.variance == 0.0
    assert got.logprob.equal(noisy.true)
    assert got.metrics()["mcla_passes"] == 2 and got.metrics()["mcla_cost"] >= 1


def test_a_threshold_calls_small_noise_none() -> None:
    small, large = Noisy(1000, 1e-4), Noisy(1000, 1e-2)
    first = averaged(small, Averaging(4, 1e-6))
    assert first.stopped and first.logprob.equal(Noisy(1000, 1e-4)(0))
    assert not averaged(large, Averaging(4, 1e-6)).stopped


def test_one_pass_is_no_averaging() -> None:
    noisy = Noisy(10, 0.1)
    got = averaged(noisy, Averaging(1))
    assert noisy.asked == [0] and got.variance is None and "mcla_variance" not in got.metrics()
    with pytest.raises(UsageError):
        Averaging(0)


def test_the_anchored_value_is_the_means_and_the_gradient_the_passes() -> None:
    logprob, mean = torch.randn(9).double().requires_grad_(), torch.randn(9).double()
    value = anchored(logprob, mean)
    assert value.detach().tolist() == pytest.approx(mean.tolist(), rel=1e-15)
    (slope,) = torch.autograd.grad((value * torch.arange(9)).sum(), logprob)
    assert slope.tolist() == list(range(9))


@pytest.mark.parametrize("seed", range(8))
def test_shuffled_siblings_are_the_same_paths(seed: int) -> None:
    pack, _ = make_pack(seed, trees=1 + seed % 4, samples=6)
    tree = Forest.of(pack)
    moved, place = shuffled_siblings(tree, seed)
    assert not moved.problem()
    assert sorted(place.tolist()) == list(range(len(tree)))

    def path(of: Forest, token: int) -> list[int]:
        found = []
        while token >= 0:
            found.append(int(of.tokens[token]))
            token = int(of.parent[token])
        return found

    for token in range(len(tree)):
        assert path(tree, token) == path(moved, int(place[token]))
    assert any(not shuffled_siblings(tree, other)[1].equal(place) for other in range(20, 24))


def test_the_order_of_siblings_makes_passes_of_a_model_that_agree_but_for_rounding() -> None:
    pack, _ = make_pack(3, trees=2, samples=6)
    tree, lm = Forest.of(pack), TreeLM(tiny_model(3, torch.float32), "reference")
    trained = torch.arange(len(tree))[tree.parent >= 0]

    def run(k: int) -> Tensor:
        moved, place = (tree, torch.arange(len(tree))) if k == 0 else shuffled_siblings(tree, k)
        with torch.no_grad():
            return lm.logprobs(moved, place[trained], 1.0)[0]

    got = averaged(run, Averaging(4))
    assert got.variance is not None and got.variance < 1e-9
    assert got.logprob.tolist() == pytest.approx(run(0).tolist(), rel=1e-4, abs=1e-4)
