"""Off-policy weights, the reference penalty and mixed streams, each against loops over samples, turns and tokens."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from katcore.errors import InputError
from katcore.train.losses import LossSettings, grpo, mixed, opd, sft
from tests.support.naive_losses import (
    EXACT,
    NAN,
    Token,
    flat,
    icepop_by_hand,
    random_samples,
    scale_of,
    segment_by_hand,
    slopes,
    tis_by_hand,
    to_inputs,
    token_by_hand,
)

SAMPLES = random_samples(3, 0.4, samples=12)
TOKENS = flat(SAMPLES)
REDUCERS = ["token-mean", "seq-mean-token-mean", "turn-mean"]


@pytest.mark.parametrize("reducer", REDUCERS)
@pytest.mark.parametrize("name,weight", [("icepop", icepop_by_hand), ("tis", tis_by_hand), ("none", lambda t: 1.0)])
def test_off_policy_weights(name: str, weight: Callable[[Token], float], reducer: str) -> None:
    given = to_inputs(SAMPLES, reducer)
    out = grpo(given, LossSettings(off_policy=name))  # type: ignore[arg-type]
    loss, expected = token_by_hand(SAMPLES, reducer, 0.2, 0.28, weight)
    assert out.loss.item() == pytest.approx(loss, **EXACT)
    assert slopes(given, out) == pytest.approx(expected, **EXACT)


def test_what_is_masked_is_counted_and_keeps_its_place_in_the_denominators() -> None:
    used = [t for _, _, t in TOKENS if t.rl]
    dropped = sum(icepop_by_hand(t) == 0 for t in used)
    above = sum(tis_by_hand(t) == 2.0 for t in used)
    assert 3 < dropped < len(used) - 3 and above > 3
    given = to_inputs(SAMPLES, "token-mean")
    assert float(grpo(given, LossSettings(off_policy="icepop")).metrics["icepop_masked"].mean()) == dropped / len(used)
    assert float(grpo(given, LossSettings(off_policy="tis")).metrics["tis_truncated"].sum()) == above


def test_an_infinite_limit_is_none() -> None:
    given, cut = to_inputs(SAMPLES, "token-mean"), LossSettings(off_policy="tis", tis_clip=math.inf)
    whole = LossSettings(off_policy="icepop", icepop_low=0, icepop_high=math.inf)
    assert grpo(given, cut).loss.item() == grpo(given, whole).loss.item()
    assert grpo(given, whole).metrics["icepop_masked"].sum() == grpo(given, cut).metrics["tis_truncated"].sum() == 0
    out = grpo(given, LossSettings(clip_high=math.inf))
    loss, expected = token_by_hand(SAMPLES, "token-mean", 0.2, math.inf, lambda t: 1.0)
    assert out.loss.item() == pytest.approx(loss, **EXACT)
    assert slopes(given, out) == pytest.approx(expected, **EXACT)


def test_stale_tokens_are_masked() -> None:
    given = to_inputs(SAMPLES, "token-mean")
    out = grpo(given, LossSettings(max_staleness=2, off_policy="icepop"))
    loss, expected = token_by_hand(SAMPLES, "token-mean", 0.2, 0.28, lambda t: icepop_by_hand(t) if t.age <= 2 else 0.0)
    assert out.loss.item() == pytest.approx(loss, **EXACT)
    assert slopes(given, out) == pytest.approx(expected, **EXACT)
    used = [t for _, _, t in TOKENS if t.rl]
    assert float(out.metrics["staleness_masked"].mean()) == pytest.approx(sum(t.age > 2 for t in used) / len(used))
    unknown = to_inputs(SAMPLES, "token-mean", version_age=torch.full((len(TOKENS),), NAN))
    assert not grpo(unknown, LossSettings(max_staleness=0)).metrics["staleness_masked"].any()


def test_a_token_without_an_engines_logprob_may_stand_in_another_stream() -> None:
    """A demonstration has none: it must not poison the sums of the policy-gradient stream."""
    engine = [t.engine if t.rl or t.kl else NAN for _, _, t in TOKENS]
    assert any(map(math.isnan, engine))
    given, full = (
        to_inputs(SAMPLES, "token-mean", engine_logprob=torch.tensor(engine, dtype=torch.float64)),
        to_inputs(SAMPLES, "token-mean"),
    )
    settings = LossSettings(off_policy="icepop")
    assert slopes(given, mixed(given, settings)) == slopes(full, mixed(full, settings))


@pytest.mark.parametrize(
    "settings,missing",
    [
        (LossSettings(off_policy="icepop"), "engine_logprob"),
        (LossSettings(off_policy="tis"), "engine_logprob"),
        (LossSettings(max_staleness=1), "version_age"),
        (LossSettings(kl_ref=0.1), "ref_logprob"),
    ],
)
def test_what_a_loss_needs_and_does_not_get_is_bad_input(settings: LossSettings, missing: str) -> None:
    with pytest.raises(InputError, match="packs carry no"):
        grpo(to_inputs(SAMPLES, "token-mean", **{missing: None}), settings)


def penalty_by_hand(estimator: str, reducer: str) -> tuple[float, list[float]]:
    loss, expected = 0.0, []
    for sample, turn, t in TOKENS:
        share = scale_of(reducer, SAMPLES, sample, turn) * bool(t.rl or t.kl)
        d = t.logprob - t.ref
        value = {"k1": d, "k2": d * d / 2, "k3": math.exp(-d) - 1 + d}[estimator]
        slope = {"k1": d, "k2": d, "k3": 1 - math.exp(-d)}[estimator]
        loss += share * value
        expected.append(share * slope)
    return loss, expected


@pytest.mark.parametrize("reducer", REDUCERS)
@pytest.mark.parametrize("estimator", ["k1", "k2", "k3"])
def test_the_reference_penalty(estimator: str, reducer: str) -> None:
    given = to_inputs(SAMPLES, reducer)
    plain, with_penalty = grpo(given, LossSettings()), grpo(given, LossSettings(kl_ref=0.3, kl_estimator=estimator))  # type: ignore[arg-type]
    loss, expected = penalty_by_hand(estimator, reducer)
    assert (with_penalty.loss - plain.loss).item() == pytest.approx(0.3 * loss, rel=1e-10)
    difference = [a - b for a, b in zip(slopes(given, with_penalty), slopes(given, plain))]
    assert difference == pytest.approx([0.3 * x for x in expected], rel=1e-10, abs=1e-13)
    assert float(with_penalty.metrics["ref_kl"].min()) >= 0


@pytest.mark.parametrize("estimator", ["k1", "k2"])
def test_the_penaltys_expected_gradient_is_that_of_the_divergence(estimator: str) -> None:
    """Over the whole vocabulary with its probabilities: ∇ KL(π ‖ π_ref), which k3 is not and a bare k1 is 0."""
    torch.manual_seed(1)
    logits, reference = torch.randn(9).double().requires_grad_(), torch.randn(9).double().log_softmax(0)
    lp = logits.log_softmax(0)
    (expected,) = torch.autograd.grad((lp.exp() * (lp - reference)).sum(), logits)
    from katcore.train.losses import kl_term

    lp = logits.log_softmax(0)
    (got,) = torch.autograd.grad((lp.exp().detach() * kl_term(lp, reference, estimator)).sum(), logits)  # type: ignore[arg-type]
    assert got.tolist() == pytest.approx(expected.tolist(), rel=1e-12)


def distillation_by_hand(c: float, weight: Callable[[Token], float] = lambda t: 1.0) -> tuple[float, list[float]]:
    loss, expected = 0.0, []
    for _, _, t in TOKENS:
        part = c / len(TOKENS) * t.kl * weight(t) * math.exp(t.logprob - t.old) * (t.logprob - t.teacher)
        loss += part
        expected.append(part)  # the gap is stopped: the slope of exp is exp
    return loss, expected


def summed(*streams: tuple[float, list[float]]) -> tuple[float, list[float]]:
    return sum(loss for loss, _ in streams), [sum(parts) for parts in zip(*(slope for _, slope in streams))]


def times(weight: float, stream: tuple[float, list[float]]) -> tuple[float, list[float]]:
    return weight * stream[0], [weight * x for x in stream[1]]


def test_mixed_is_the_sum_of_four_streams_with_scales_of_their_own() -> None:
    ce_scale = torch.full((len(TOKENS),), 1 / 17, dtype=torch.float64)
    given = to_inputs(SAMPLES, "turn-mean", ce_scale=ce_scale)
    settings = LossSettings(off_policy="icepop", mix_rl=0.9, mix_ce=0.4, opd_weight=0.7, kl_ref=0.2, kl_estimator="k2")
    out = mixed(given, settings)
    supervised = (
        sum(-t.ce * t.logprob / 17 for _, _, t in TOKENS),
        [-t.ce / 17 for _, _, t in TOKENS],
    )
    penalty_loss, penalty = 0.0, []
    for sample, turn, t in TOKENS:
        share = scale_of("turn-mean", SAMPLES, sample, turn) * bool(t.rl or t.kl) * icepop_by_hand(t)
        penalty_loss += share * (t.logprob - t.ref) ** 2 / 2
        penalty.append(share * (t.logprob - t.ref))
    loss, expected = summed(
        times(0.9, token_by_hand(SAMPLES, "turn-mean", 0.2, 0.28, icepop_by_hand)),
        times(0.4, supervised),
        distillation_by_hand(0.7, icepop_by_hand),
        times(0.2, (penalty_loss, penalty)),
    )
    assert out.loss.item() == pytest.approx(loss, rel=1e-12)
    assert slopes(given, out) == pytest.approx(expected, rel=1e-12, abs=1e-14)
    assert {"nll", "teacher_gap", "ref_kl", "clip_low", "entropy", "engine_kl", "icepop_masked"} <= out.metrics.keys()


def test_mixed_with_one_stream_is_that_streams_objective() -> None:
    zero = torch.zeros(len(TOKENS)).double()
    supervised = to_inputs(SAMPLES, "token-mean", rl_weight=zero, kl_weight=zero)
    assert slopes(supervised, mixed(supervised, LossSettings())) == slopes(supervised, sft(supervised, LossSettings()))
    rl = to_inputs(SAMPLES, "token-mean", ce_weight=zero, kl_weight=zero)
    assert slopes(rl, mixed(rl, LossSettings())) == slopes(rl, grpo(rl, LossSettings()))


def test_distillation_beside_turns() -> None:
    samples = random_samples(4, 2e-3, plain=True)
    given = to_inputs(samples, "turn-mean")
    with_both, alone = (opd(given, LossSettings(opd_weight=c, segment="turn")) for c in (0.7, 0.0))
    _, expected = segment_by_hand(samples, 3e-4, 4e-4, "turn")
    assert slopes(given, alone) == pytest.approx(expected, **EXACT)
    gaps = [
        0.7 / len(flat(samples)) * math.exp(t.logprob - t.old) * (t.logprob - t.teacher) for _, _, t in flat(samples)
    ]
    assert slopes(given, with_both) == pytest.approx([a + b for a, b in zip(expected, gaps)], **EXACT)


def test_supervised_scales_may_be_the_streams_own() -> None:
    own = torch.rand(len(TOKENS)).double()
    given = to_inputs(SAMPLES, "token-mean", ce_scale=own)
    assert slopes(given, sft(given, LossSettings())) == pytest.approx((-own * given.ce_weight).tolist(), **EXACT)
