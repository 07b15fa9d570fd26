"""One number a name: means, largest values and percentiles over all packs of a step, against Python's own."""

from __future__ import annotations

import random
import statistics

import pytest
import torch

from katcore.train.losses import LossOutputs, LossSettings, grpo, gspo, reduce_metrics, reduce_values
from tests.support.naive_losses import random_samples, to_inputs


def outputs_of(parts: list[list[float]], name: str) -> list[LossOutputs]:
    return [LossOutputs(torch.zeros(()), {name: torch.tensor(part, dtype=torch.float64)}) for part in parts]


@pytest.mark.parametrize("size", [1, 2, 99, 1000])
def test_percentiles_are_those_of_all_packs_together(size: int) -> None:
    rng = random.Random(size)
    values = [rng.gauss(1, 0.3) for _ in range(size)]
    cut = size // 3
    ordered = sorted(values)
    for percent in (1, 50, 99):
        got = reduce_metrics(outputs_of([values[:cut], values[cut:]], f"ratio_p{percent:02d}"))
        below = sum(v < got[f"ratio_p{percent:02d}"] - 1e-15 for v in values)
        assert below <= percent / 100 * (size - 1) + 1 and below >= percent / 100 * (size - 1) - 1
        if size > 1:
            points = statistics.quantiles(ordered, n=100, method="inclusive")
            assert got[f"ratio_p{percent:02d}"] == pytest.approx(points[percent - 1], rel=1e-12)


def test_means_and_largest_values() -> None:
    parts = [[1.0, 2.0], [9.0]]
    assert reduce_metrics(outputs_of(parts, "ratio")) == {"ratio": 4.0}
    assert reduce_metrics(outputs_of(parts, "ratio_max")) == {"ratio_max": 9.0}
    assert reduce_metrics(outputs_of([[]], "ratio_p50")) == {}


def test_what_the_losses_report_reduces_to_numbers() -> None:
    samples = random_samples(2, 0.4)
    given = to_inputs(samples, "turn-mean")
    names = {"entropy", "clip_low", "clip_high", "engine_kl", "engine_ratio", "engine_ratio_max", "icepop_masked"}
    names |= {"staleness_masked", "ref_kl", "ratio", "ratio_p01", "ratio_p50", "ratio_p99"}
    for loss in (grpo, gspo):
        settings = LossSettings(off_policy="icepop", max_staleness=3)
        numbers = reduce_values([loss(given, settings).metrics])
        assert names <= numbers.keys()
        assert numbers["ratio_p01"] <= numbers["ratio_p50"] <= numbers["ratio_p99"]
        assert numbers["entropy"] == 1.25


@pytest.mark.slow
def test_more_values_than_torchs_own_quantile_takes() -> None:
    values = torch.arange(2**24 + 2, dtype=torch.float32)
    with pytest.raises(RuntimeError):
        values.quantile(0.5)
    middle = reduce_values([{"x_p50": values}])["x_p50"]
    assert middle == pytest.approx((2**24 + 1) / 2)
