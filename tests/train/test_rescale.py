"""Rescaled advantages against loops over groups and samples, and what must not happen to them."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor

from katcore.train.rescale import Rescaled, rescaled, sample_entropy


def data(seed: int, size: int = 23, groups: int = 5) -> tuple[list[float], list[int], list[float], list[float]]:
    rng = random.Random(seed)
    group = [rng.randrange(groups) for _ in range(size)]
    return (
        [rng.gauss(0, 1) for _ in group],
        group,
        [rng.choice([0.0, 1.0, 0.25]) for _ in group],
        [rng.uniform(0.1, 2.0) for _ in group],
    )


def run(columns: tuple[list[float], list[int], list[float], list[float]], *weights: float) -> Rescaled:
    advantage, group, success, entropy = columns
    double = {"dtype": torch.float64}
    return rescaled(
        torch.tensor(advantage, **double),
        torch.tensor(group),
        torch.tensor(success, **double),
        torch.tensor(entropy, **double),
        *weights,
    )


def by_hand(columns: tuple[list[float], list[int], list[float], list[float]], lam: float, mu: float) -> list[float]:
    advantage, group, success, entropy = columns
    members = {g: [i for i, other in enumerate(group) if other == g] for g in set(group)}
    difficulty = {g: 1 - sum(success[i] for i in which) / len(which) for g, which in members.items()}
    average = sum(difficulty.values()) / len(difficulty)
    out = []
    for i, g in enumerate(group):
        alpha = 1 + lam * (difficulty[g] - average)
        beta = 1 + mu * (entropy[i] - sum(entropy[j] for j in members[g]) / len(members[g]))
        out.append(min(max(alpha, 0.2), 5) * min(max(beta, 0.2), 5) * advantage[i])
    return out


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("weights", [(0.5, 0.3), (20.0, 9.0)])
def test_against_the_formula(seed: int, weights: tuple[float, float]) -> None:
    columns = data(seed)
    got = run(columns, *weights)
    assert got.advantage.tolist() == pytest.approx(by_hand(columns, *weights), rel=1e-12)
    if weights[0] > 1:
        factors = torch.cat([got.difficulty_factor, got.entropy_factor])
        assert bool((factors == 0.2).any()) and bool((factors == 5.0).any())


def test_no_advantage_turns_its_sign_and_zero_weights_change_nothing() -> None:
    columns = data(9)
    before = torch.tensor(columns[0], dtype=torch.float64)
    assert bool((run(columns, 50.0, 50.0).advantage.sign() == before.sign()).all())
    assert run(columns, 0.0, 0.0).advantage.equal(before)


def test_hard_tasks_and_uncertain_samples_weigh_more() -> None:
    advantage, group, success = [1.0] * 4, [0, 0, 1, 1], [0.0, 0.0, 1.0, 1.0]
    got: Tensor = run((advantage, group, success, [0.5, 1.0, 0.5, 1.0]), 0.5, 0.5).advantage
    assert got[0] > got[2] and got[1] > got[0] and got[3] > got[2]


def test_a_group_number_without_samples_is_no_group() -> None:
    advantage, group, success, entropy = data(1)
    sparse = (advantage, [3 * g + 2 for g in group], success, entropy)
    assert run(sparse, 0.5, 0.3).advantage.equal(run((advantage, group, success, entropy), 0.5, 0.3).advantage)


def test_no_samples() -> None:
    assert len(run(([], [], [], []), 1.0, 1.0).advantage) == 0


def test_entropy_of_samples() -> None:
    rng = random.Random(0)
    sample = [rng.choice([0, 1, 3]) for _ in range(40)]
    entropy = [rng.random() for _ in sample]
    got = sample_entropy(torch.tensor(entropy, dtype=torch.float64), torch.tensor(sample), 5)
    for s in (0, 1, 3):
        own = [h for h, other in zip(entropy, sample) if other == s]
        assert got[s].item() == pytest.approx(sum(own) / len(own), rel=1e-12)
    assert got[2] == 0 and got[4] == 0


def test_samples_without_a_reward_change_nothing_and_stay() -> None:
    """Text beside attempts has no success: one NaN must not become everybody's."""
    advantage, group, success, entropy = data(2)
    alone = run((advantage, group, success, entropy), 0.5, 0.3)
    mixed = run(
        ([1.0, *advantage, 2.0], [9, *group, 0], [float("nan"), *success, float("nan")], [5.0, *entropy, 7.0]), 0.5, 0.3
    )
    assert mixed.advantage[1:-1].equal(alone.advantage)
    assert mixed.advantage[[0, -1]].tolist() == [1.0, 2.0]
    assert mixed.difficulty_factor[[0, -1]].tolist() == mixed.entropy_factor[[0, -1]].tolist() == [1.0, 1.0]
