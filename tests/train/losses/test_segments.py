"""GSPO over turns and sequences against the segment's own formula, looped over samples, turns and tokens."""

from __future__ import annotations

import math

import pytest
import torch

from katcore.errors import InputError
from katcore.train.losses import OBJECTIVES, LossInputs, LossSettings, grpo, gspo
from tests.support.naive_losses import (
    EXACT,
    Sample,
    Token,
    flat,
    icepop_by_hand,
    random_samples,
    scale_of,
    segment_by_hand,
    slopes,
    to_inputs,
    token_by_hand,
)

KINDS = [
    ("turn", "mean", "turn-mean", (3e-4, 4e-4)),
    ("turn", "product", "turn-mean", (0.2, 0.2)),
    ("sequence", "mean", "seq-mean-token-mean", (3e-4, 4e-4)),
]


@pytest.mark.parametrize("kind,ratio,reducer,clip", KINDS)
@pytest.mark.parametrize("spread", [1e-5, 2e-3, 0.5])  # nothing clipped, some, nearly everything of the means
@pytest.mark.parametrize("seed", range(4))
def test_loss_and_gradient_are_the_segments(
    seed: int, spread: float, kind: str, ratio: str, reducer: str, clip: tuple[float, float]
) -> None:
    samples = random_samples(seed, spread, plain=True)
    settings = LossSettings(segment=kind, turn_ratio=ratio)  # type: ignore[arg-type]
    given = to_inputs(samples, reducer)
    out = gspo(given, settings)
    loss, expected = segment_by_hand(samples, *clip, kind, ratio == "product")
    assert out.loss.item() == pytest.approx(loss, **EXACT)
    assert slopes(given, out) == pytest.approx(expected, **EXACT)
    assert OBJECTIVES["gspo"].reducer(settings) == reducer


def test_the_data_has_segments_on_both_sides_of_both_edges() -> None:
    clipped = free = 0
    for kind, ratio, reducer, clip in KINDS:
        for seed in range(4):
            for spread in (2e-3, 0.5):
                samples = random_samples(seed, spread, plain=True)
                _, expected = segment_by_hand(samples, *clip, kind, ratio == "product")
                clipped += expected.count(0.0)
                free += len(expected) - expected.count(0.0)
                out = gspo(to_inputs(samples, reducer), LossSettings(segment=kind, turn_ratio=ratio))  # type: ignore[arg-type]
                counted = out.metrics["clip_high"].sum() + out.metrics["clip_low"].sum()
                assert counted == expected.count(0.0)
    assert clipped > 200 and free > 200


@pytest.mark.parametrize("product", [False, True])
def test_a_terms_own_weights_multiply_its_own_gradient_alone(product: bool) -> None:
    """IcePop in a turn: a dropped token has no gradient, stays in its turn's ratio, and keeps the denominators."""
    samples = random_samples(5, 0.02)
    given = to_inputs(samples, "turn-mean")
    settings = LossSettings(0.2, 0.2, turn_ratio="product" if product else "mean", off_policy="icepop")
    out = gspo(given, settings)
    loss, expected = 0.0, []
    for sample, turn, t in flat(samples):
        logs = sum(u.logprob - u.old for u in turn)
        s = math.exp(logs if product else logs / len(turn))
        a = t.rl * sample.advantage
        clipped = min(max(s, 0.8), 1.2)
        share = scale_of("turn-mean", samples, sample, turn) * icepop_by_hand(t)
        loss -= share * min(s * a, clipped * a)
        slope = len(turn) * s if product else s
        expected.append(-share * a * slope if s * a <= clipped * a else 0.0)
    assert out.loss.item() == pytest.approx(loss, **EXACT)
    assert slopes(given, out) == pytest.approx(expected, **EXACT)
    dropped = [icepop_by_hand(t) == 0 and t.rl != 0 for _, _, t in flat(samples)]
    assert 5 < sum(dropped) < len(dropped) - 5


@pytest.mark.parametrize("reducer", ["token-mean", "seq-mean-token-mean", "turn-mean"])
def test_segments_of_one_token_are_grpo(reducer: str) -> None:
    samples = random_samples(7, 0.5)
    given = to_inputs(samples, reducer)
    loss, expected = token_by_hand(samples, reducer, 0.2, 0.28)
    every = torch.arange(len(given.logprob))
    apart = to_inputs(samples, reducer, segment_turn=every)
    by_turns = gspo(apart, LossSettings(0.2, 0.28))
    by_tokens = gspo(given, LossSettings(segment="token"))
    assert by_turns.loss.item() == pytest.approx(loss, **EXACT) == by_tokens.loss.item()
    assert slopes(apart, by_turns) == pytest.approx(expected, **EXACT) == slopes(given, by_tokens)
    assert slopes(given, grpo(given, LossSettings(segment="turn"))) == pytest.approx(expected, **EXACT)


def test_on_policy_every_ratio_gives_the_policy_gradient() -> None:
    samples = random_samples(8, 0.0, plain=True)
    given = to_inputs(samples, "turn-mean")
    mean, token = (slopes(given, gspo(given, LossSettings(segment=s))) for s in ("turn", "token"))  # type: ignore[arg-type]
    assert mean == pytest.approx(token, **EXACT)


def test_a_product_over_a_long_turn_stays_finite() -> None:
    token = Token(-0.5, -1.5, -1.5, 0, 0, 1.0, 0, 0, 0)
    given = to_inputs([Sample(-1.0, [[token] * 2000])], "turn-mean")
    out = gspo(given, LossSettings(turn_ratio="product"))
    assert bool(out.loss.isfinite()) and all(map(math.isfinite, slopes(given, out)))
    assert out.loss.item() == pytest.approx(math.exp(20.0))


def test_in_fp32_the_ratio_of_a_long_sequence_is_exact_to_a_tenth_of_the_clip_range() -> None:
    torch.manual_seed(0)
    old = torch.rand(200_000) * -3
    new = old + 1e-3 * torch.randn(200_000)
    blank = torch.zeros(200_000)
    given = LossInputs(new, blank, blank, blank, blank + 1, blank, blank, blank + 1, old, segment_sample=blank.long())
    ratio = gspo(given, LossSettings(segment="sequence")).metrics["ratio"][0]
    assert ratio.item() == pytest.approx(math.exp(float((new.double() - old.double()).mean())), abs=3e-5)


def test_a_loss_over_turns_asks_for_turns() -> None:
    with pytest.raises(InputError, match="turn"):
        gspo(to_inputs(random_samples(1, 0.1), "turn-mean", segment_turn=None), LossSettings())


def test_which_objectives_couple_terms() -> None:
    assert OBJECTIVES["gspo"].coupled(LossSettings()) and not OBJECTIVES["gspo"].coupled(LossSettings(segment="token"))
    assert not any(OBJECTIVES[name].coupled(LossSettings()) for name in OBJECTIVES if name != "gspo")
    for name in ("opd", "mixed"):
        assert OBJECTIVES[name].coupled(LossSettings(segment="sequence"))
    assert not OBJECTIVES["grpo"].coupled(LossSettings(segment="turn"))
