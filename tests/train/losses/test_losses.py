"""Each loss and its gradient in the log-probs against the formula written out in numpy, term by term."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from katcore.errors import InputError
from katcore.train.losses import LossInputs, LossOutputs, LossSettings, grpo, opd, sft

M = 64
rng = np.random.default_rng(0)
LP, OLD, ENGINE, TEACHER = (rng.uniform(-3, -0.1, M) for _ in range(4))
LP = OLD + rng.uniform(-0.5, 0.5, M)  # ratios on both sides of both clip edges
ADVANTAGE = rng.choice([-1.5, -0.5, 0.0, 0.7, 2.0], M)
RL, CE, KL = (rng.choice([0.0, 0.5, 1.0], M) for _ in range(3))
SCALE, KL_SCALE = rng.uniform(0.01, 0.02, M), np.full(M, 1 / 50)


def inputs(**changes: np.ndarray | None) -> LossInputs:
    columns: dict[str, np.ndarray | None] = {
        "logprob": LP,
        "entropy": np.full(M, 1.25),
        "scale": SCALE,
        "kl_scale": KL_SCALE,
        "rl_weight": RL,
        "ce_weight": CE,
        "kl_weight": KL,
        "advantage": ADVANTAGE,
        "old_logprob": OLD,
        "engine_logprob": ENGINE,
        "teacher_logprob": TEACHER,
    } | changes
    made = {name: None if x is None else torch.tensor(x, dtype=torch.float64) for name, x in columns.items()}
    made["logprob"] = torch.tensor(LP, requires_grad=True)
    return LossInputs(**made)  # type: ignore[arg-type]


def slope(given: LossInputs, out: LossOutputs) -> np.ndarray:
    return torch.autograd.grad(out.loss, given.logprob)[0].numpy()


def grpo_by_hand(low: float, high: float) -> tuple[float, np.ndarray, int, int]:
    loss, gradient, lows, highs = 0.0, np.zeros(M), 0, 0
    for t in range(M):
        r, a = np.exp(LP[t] - OLD[t]), ADVANTAGE[t]
        c = min(max(r, 1 - low), 1 + high)
        loss -= SCALE[t] * RL[t] * min(r * a, c * a)
        if r * a <= c * a:
            gradient[t] = -SCALE[t] * RL[t] * a * r
        highs += bool(RL[t]) and a > 0 and r > 1 + high
        lows += bool(RL[t]) and a < 0 and r < 1 - low
    return loss, gradient, lows, highs


def test_sft() -> None:
    given = inputs()
    out = sft(given, LossSettings())
    assert out.loss.item() == pytest.approx(sum(-SCALE * CE * LP), rel=1e-12)
    assert slope(given, out) == pytest.approx(-SCALE * CE, rel=1e-12)
    assert len(out.metrics["nll"]) == (CE != 0).sum()


def test_grpo_clips_higher_above_than_below() -> None:
    given = inputs()
    out = grpo(given, LossSettings())
    loss, gradient, lows, highs = grpo_by_hand(0.2, 0.28)
    assert out.loss.item() == pytest.approx(loss, rel=1e-12)
    assert slope(given, out) == pytest.approx(gradient, rel=1e-12)
    assert lows > 2 and highs > 2
    assert (float(out.metrics["clip_low"].sum()), float(out.metrics["clip_high"].sum())) == (lows, highs)


def test_grpo_never_trains_on_the_engines_logprobs() -> None:
    for changes in ({"engine_logprob": ENGINE - 1}, {"engine_logprob": None}):
        given, plain = inputs(**changes), inputs()
        assert (slope(given, grpo(given, LossSettings())) == slope(plain, grpo(plain, LossSettings()))).all()


def test_the_engines_distance_is_reported() -> None:
    used = RL != 0
    ratio = np.exp(OLD - ENGINE)[used]
    metrics = grpo(inputs(), LossSettings()).metrics
    assert metrics["engine_kl"].numpy() == pytest.approx(ratio - 1 - np.log(ratio), rel=1e-9)
    assert float(metrics["engine_ratio_max"].max()) == pytest.approx(ratio.max())


def test_opd_adds_its_own_stream_to_grpos() -> None:
    given = inputs()
    out = opd(given, LossSettings(opd_weight=0.3))
    _, gradient, _, _ = grpo_by_hand(0.2, 0.28)
    advantage = -(LP - TEACHER)  # stopped
    gradient = gradient - 0.3 * KL_SCALE * KL * advantage * np.exp(LP - OLD)
    assert slope(given, out) == pytest.approx(gradient, rel=1e-12)


def test_opd_pushes_towards_the_teacher_and_depends_on_it() -> None:
    """Differentiating log π − log π_T itself would push every token down, whatever the teacher says."""
    alone = {"rl_weight": np.zeros(M), "kl_weight": np.ones(M), "old_logprob": LP}
    given = inputs(**alone)
    gradient = slope(given, opd(given, LossSettings()))
    assert ((gradient < 0) == (TEACHER > LP)).all()  # descent raises what the teacher finds likelier
    equal = inputs(**alone, teacher_logprob=LP)
    assert not slope(equal, opd(equal, LossSettings())).any()


def test_opd_without_a_teacher_is_bad_input() -> None:
    with pytest.raises(InputError, match="teacher"):
        opd(inputs(teacher_logprob=None), LossSettings())


def test_a_negative_weight_is_a_negative_advantage() -> None:
    """With a baseline of its own a token's weight carries the sign: clipping must follow the product."""
    turned = inputs(rl_weight=-RL, advantage=-ADVANTAGE)
    plain = inputs()
    out, wanted = grpo(turned, LossSettings()), grpo(plain, LossSettings())
    assert out.loss.item() == pytest.approx(wanted.loss.item(), rel=1e-12)
    assert slope(turned, out) == pytest.approx(slope(plain, wanted), rel=1e-12)


def test_negative_advantages_can_count_less() -> None:
    down = np.where(ADVANTAGE < 0, 0.25 * ADVANTAGE, ADVANTAGE)
    less, wanted = grpo(inputs(), LossSettings(negative_weight=0.25)), grpo(inputs(advantage=down), LossSettings())
    assert less.loss.item() == pytest.approx(wanted.loss.item(), rel=1e-12)
    assert grpo(inputs(), LossSettings(negative_weight=0.0)).loss.item() != pytest.approx(wanted.loss.item())
