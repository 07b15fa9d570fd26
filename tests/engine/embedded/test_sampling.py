"""The distribution that is sampled from, and the log-probs that are reported."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from katcore.engine.embedded.sampling import Draw, sample, uniform

LOGITS = torch.tensor([1.0, 3.0, 0.5, 2.0, -1.0, 2.5])
PLAIN = Draw(temperature=1.0, top_p=1.0, top_k=-1, min_p=0.0, seed=0, sequence=0, position=0)


def frequencies(draw: Draw, count: int = 4000) -> dict[int, float]:
    draws = [replace(draw, seed=5, position=position) for position in range(count)]
    ids, _ = sample(LOGITS.expand(count, -1), draws)
    return {token: seen / count for token, seen in Counter(ids).items()}


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_with_the_frequency_that_the_model_gives_them(temperature: float) -> None:
    wanted = torch.softmax(LOGITS / temperature, dim=-1)
    seen = frequencies(replace(PLAIN, temperature=temperature))
    for token, probability in enumerate(wanted.tolist()):
        assert seen.get(token, 0.0) == pytest.approx(probability, abs=4 * math.sqrt(probability / 4000) + 1e-9)


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ({"top_k": 1}, {1}),
        ({"top_k": 3}, {1, 5, 3}),
        ({"top_k": 100}, {0, 1, 2, 3, 4, 5}),
        ({"top_p": 0.01}, {1}),
        ({"top_p": 0.7}, {1, 5}),
        ({"min_p": 0.3}, {1, 3, 5}),
        ({"min_p": 1.0}, {1}),
        ({"top_k": 2, "top_p": 0.99, "min_p": 0.1}, {1, 5}),
    ],
)
def test_filters_keep_the_most_probable_and_their_proportions(change: dict[str, float], allowed: set[int]) -> None:
    seen = frequencies(replace(PLAIN, **change))
    assert set(seen) == allowed
    mass = torch.softmax(LOGITS, dim=-1)
    total = sum(float(mass[token]) for token in allowed)
    for token in allowed:
        assert seen[token] == pytest.approx(float(mass[token]) / total, abs=0.04)


def test_logprob_is_that_of_the_whole_distribution_at_the_sampling_temperature() -> None:
    draws = [replace(PLAIN, temperature=t, top_k=2, seed=9) for t in (0.5, 2.0)]
    ids, logprobs = sample(LOGITS.expand(2, -1), draws)
    for token, logprob, draw in zip(ids, logprobs, draws):
        assert logprob == pytest.approx(float(torch.log_softmax(LOGITS / draw.temperature, -1)[token]), abs=1e-6)


def test_greedy_takes_the_best_with_its_logprob_at_temperature_one() -> None:
    ids, logprobs = sample(LOGITS[None], [replace(PLAIN, temperature=0.0)])
    assert ids == [1]
    assert logprobs[0] == pytest.approx(float(torch.log_softmax(LOGITS, -1)[1]), abs=1e-6)


def test_the_ends_of_the_range_pick_tokens_that_can_occur(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.full((2, 200), -math.inf)
    logits[:, 70] = logits[:, 133] = 0.0
    monkeypatch.setattr(Draw, "uniform", lambda self, attempt=0: float(self.position))
    ids, _ = sample(logits, [PLAIN, replace(PLAIN, position=1)])
    assert ids == [70, 133]


def test_rows_do_not_depend_on_their_neighbours() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(16, 50, generator=generator)
    draws = [replace(PLAIN, top_k=index % 7 or -1, seed=index, position=3) for index in range(16)]
    together = sample(logits, draws)
    alone = [sample(logits[index : index + 1], draws[index : index + 1]) for index in range(16)]
    assert together[0] == [ids[0] for ids, _ in alone]


def test_numbers_differ_by_seed_sequence_and_position_and_never_by_machine() -> None:
    keys = [(seed, number, position) for seed in (0, 1) for number in (0, 1) for position in (0, 1)]
    assert len({uniform(*key) for key in keys}) == len(keys)
    assert uniform(0, 0, 0) == pytest.approx(0.6978145653686135, abs=1e-12)


@pytest.mark.parametrize("size", [63, 64, 65, 1000])
def test_every_token_of_a_large_vocabulary_comes_with_its_frequency(size: int) -> None:
    logits = torch.randn(size, generator=torch.Generator().manual_seed(size)) * 2
    count = 8000
    ids, _ = sample(logits.expand(count, -1), [replace(PLAIN, position=position) for position in range(count)])
    wanted = torch.softmax(logits, -1) * count
    seen = torch.bincount(torch.tensor(ids), minlength=size)
    often = wanted >= 5
    square = ((seen - wanted)[often] ** 2 / wanted[often]).sum()  # chi-squared, with about as many degrees as tokens
    assert square < often.sum() + 5 * math.sqrt(2 * often.sum())


@pytest.mark.parametrize("change", [{"top_p": 0.9}, {"top_p": 0.3}, {"top_k": 5}, {"min_p": 0.4}, {"top_p": 0.01}])
def test_drawing_again_leaves_the_frequencies_of_what_stays(change: dict[str, float]) -> None:
    """Against a sort and a renormalisation written here; half of the tokens are as probable as another."""
    logits = torch.randn(100, generator=torch.Generator().manual_seed(3)).repeat_interleave(2)
    ordered, order = torch.softmax(logits, -1).double().sort(descending=True, stable=True)
    kept = torch.ones(200, dtype=torch.bool)
    kept &= ordered.cumsum(0) - ordered <= change.get("top_p", 1.0)
    kept &= torch.arange(200) < change.get("top_k", 200)
    kept &= ordered >= ordered[0] * change.get("min_p", 0.0)
    count = 8000
    wanted = torch.zeros(200, dtype=torch.float64).scatter(0, order, ordered * kept)
    wanted *= count / wanted.sum()
    ids, _ = sample(logits.expand(count, -1), [replace(PLAIN, position=p, **change) for p in range(count)])
    seen = torch.bincount(torch.tensor(ids), minlength=200)
    assert int(seen[wanted == 0].sum()) == 0
    often = wanted >= 5
    square = ((seen - wanted)[often] ** 2 / wanted[often]).sum()
    assert square < often.sum() + 5 * math.sqrt(2 * often.sum())
