"""The trie baseline against a brute-force walk over prefixes."""

from __future__ import annotations

import numpy as np
import pytest

from katcore.pack_trie.grpo import EPSILON, branch_advantages


def brute(rewards: list[float], samples: list[list[int]]) -> list[list[float]]:
    """V(prefix) is the mean reward of the samples that begin with it; the advantage is the step between two."""

    def value(prefix: list[int]) -> float:
        through = [r for r, s in zip(rewards, samples) if s[: len(prefix)] == prefix]
        return sum(through) / len(through)

    scale = float(np.std(rewards)) + EPSILON
    return [[(value(s[: i + 1]) - value(s[:i])) / scale for i in range(len(s))] for s in samples]


def trie(samples: list[list[int]]) -> tuple[list[np.ndarray], np.ndarray]:
    """Places of the samples' tokens in a trie, and each node's parent."""
    nodes: dict[tuple[int, ...], int] = {}
    parent: list[int] = []
    places = []
    for sample in samples:
        place = []
        for i in range(len(sample)):
            prefix = tuple(sample[: i + 1])
            if prefix not in nodes:
                nodes[prefix] = len(parent)
                parent.append(nodes.get(prefix[:-1], -1))
            place.append(nodes[prefix])
        places.append(np.array(place))
    return places, np.array(parent)


@pytest.mark.parametrize("seed", range(20))
def test_it_is_the_step_in_mean_reward_along_the_prefix(seed: int) -> None:
    draw = np.random.default_rng(seed)
    samples = [draw.integers(0, 2, draw.integers(1, 7)).tolist() for _ in range(8)]
    rewards = draw.integers(0, 2, 8).astype(float).tolist()
    rewards[:2] = [0.0, 1.0]
    places, parent = trie(samples)
    found = branch_advantages(rewards, places, parent, places)
    for seen, wanted in zip(found, brute(rewards, samples), strict=True):
        assert seen == pytest.approx(wanted, abs=1e-5)


def test_shared_tokens_and_tails_carry_none_and_a_path_sums_to_the_groups_advantage() -> None:
    samples, rewards = [[1, 2, 3, 4], [1, 2, 5, 6], [1, 2, 3, 4]], [1.0, 0.0, 1.0]
    places, parent = trie(samples)
    first, second, _ = branch_advantages(rewards, places, parent, places)
    assert first[[0, 1, 3]] == pytest.approx(0) and second[[0, 1, 3]] == pytest.approx(0)
    scale = float(np.std(rewards)) + EPSILON
    assert first.sum() == pytest.approx((1 - 2 / 3) / scale) and second.sum() == pytest.approx(-2 / 3 / scale)
