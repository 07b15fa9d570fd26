"""The losses written out by hand over samples, turns and tokens, in Python's floats, gradients included.

Nothing here uses a tensor, a term table or automatic differentiation. `by_hand` of a loss gives (value, slopes), the
slopes in the order in which `flat` lists the tokens.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from katcore.train.losses import LossInputs, LossOutputs

NAN = float("nan")
EXACT = {"rel": 1e-12, "abs": 1e-14}


@dataclass
class Token:
    """One sampled token; `age` in steps."""

    logprob: float
    old: float
    engine: float
    teacher: float
    ref: float
    rl: float
    ce: float
    kl: float
    age: float


@dataclass
class Sample:
    """One trajectory: its advantage and its turns."""

    advantage: float
    turns: list[list[Token]]


def random_samples(seed: int, spread: float, samples: int = 6, plain: bool = False) -> list[Sample]:
    """Samples of 1 to 4 turns of 1 to 7 tokens; `spread` is how far π is from π_old; `plain`: all weights are 1."""
    rng = random.Random(seed)

    def token() -> Token:
        old = rng.uniform(-3, -0.2)
        weights = (1.0, 1.0, 1.0) if plain else (rng.choice([0.0, 1.0, 0.5]) for _ in range(3))
        return Token(
            old + rng.uniform(-spread, spread),
            old,
            old + rng.choice([rng.uniform(-0.3, 0.3), rng.uniform(-2.5, 2.5)]),
            rng.uniform(-4, -0.1),
            old + rng.uniform(-0.7, 0.7),
            *weights,
            float(rng.randint(0, 5)),
        )

    return [
        Sample(
            rng.choice([-1.3, -0.4, 0.6, 1.7]),
            [[token() for _ in range(rng.randint(1, 7))] for _ in range(rng.randint(1, 4))],
        )
        for _ in range(samples)
    ]


def flat(samples: list[Sample]) -> list[tuple[Sample, list[Token], Token]]:
    """Every token with the sample and the turn that it stands in."""
    return [(sample, turn, token) for sample in samples for turn in sample.turns for token in turn]


def scale_of(reducer: str, samples: list[Sample], sample: Sample, turn: list[Token]) -> float:
    """A token's coefficient under a reducer, from the definition of the mean."""
    tokens = sum(len(t) for t in sample.turns)
    return {
        "token-mean": 1 / len(flat(samples)),
        "seq-mean-token-mean": 1 / len(samples) / tokens,
        "turn-mean": 1 / len(samples) / len(sample.turns) / len(turn),
    }[reducer]


def to_inputs(samples: list[Sample], reducer: str, **changes: Any) -> LossInputs:
    """The same as a term table in fp64, the log-probs as a leaf."""
    tokens = flat(samples)
    turns = [id(turn) for sample in samples for turn in sample.turns]

    def column(value: Callable[[Sample, list[Token], Token], float]) -> torch.Tensor:
        return torch.tensor([value(*entry) for entry in tokens], dtype=torch.float64)

    columns: dict[str, Any] = {
        "logprob": column(lambda s, k, t: t.logprob).requires_grad_(),
        "entropy": column(lambda s, k, t: 1.25),
        "scale": column(lambda s, k, t: scale_of(reducer, samples, s, k)),
        "kl_scale": column(lambda s, k, t: 1 / len(tokens)),
        "rl_weight": column(lambda s, k, t: t.rl),
        "ce_weight": column(lambda s, k, t: t.ce),
        "kl_weight": column(lambda s, k, t: t.kl),
        "advantage": column(lambda s, k, t: s.advantage),
        "old_logprob": column(lambda s, k, t: t.old),
        "engine_logprob": column(lambda s, k, t: t.engine),
        "teacher_logprob": column(lambda s, k, t: t.teacher),
        "ref_logprob": column(lambda s, k, t: t.ref),
        "segment_turn": torch.tensor([turns.index(id(turn)) for _, turn, _ in tokens]),
        "segment_sample": torch.tensor([samples.index(sample) for sample, _, _ in tokens]),
        "version_age": column(lambda s, k, t: t.age),
    }
    return LossInputs(**(columns | changes))


def segment_by_hand(
    samples: list[Sample], low: float, high: float, kind: str, product: bool = False
) -> tuple[float, list[float]]:
    """−J of GSPO: mean over samples of the mean over segments of min(s A, clip(s) A); every token's weight is 1."""
    loss, slopes = 0.0, []
    for sample in samples:
        segments = sample.turns if kind == "turn" else [[t for turn in sample.turns for t in turn]]
        for segment in segments:
            logs = sum(t.logprob - t.old for t in segment)
            s = math.exp(logs if product else logs / len(segment))
            clipped = min(max(s, 1 - low), 1 + high)
            share = 1 / len(samples) / len(segments)
            loss -= share * min(s * sample.advantage, clipped * sample.advantage)
            free = s * sample.advantage <= clipped * sample.advantage
            slope = s if product else s / len(segment)
            slopes += [-share * sample.advantage * slope if free else 0.0] * len(segment)
    return loss, slopes


def token_by_hand(
    samples: list[Sample], reducer: str, low: float, high: float, weight: Callable[[Token], float] = lambda t: 1.0
) -> tuple[float, list[float]]:
    """GRPO's clipped surrogate, times an off-policy weight of each token."""
    loss, slopes = 0.0, []
    for sample, turn, t in flat(samples):
        r, a = math.exp(t.logprob - t.old), t.rl * sample.advantage
        clipped = min(max(r, 1 - low), 1 + high)
        share = scale_of(reducer, samples, sample, turn) * weight(t)
        loss -= share * min(r * a, clipped * a)
        slopes.append(-share * a * r if r * a <= clipped * a else 0.0)
    return loss, slopes


def icepop_by_hand(t: Token) -> float:
    """IcePop's weight with its default range."""
    k = math.exp(t.old) / math.exp(t.engine)
    return k if 0.5 <= k <= 5.0 else 0.0


def tis_by_hand(t: Token) -> float:
    """Truncated importance sampling at 2."""
    return min(math.exp(t.old) / math.exp(t.engine), 2.0)


def slopes(given: LossInputs, out: LossOutputs) -> list[float]:
    found: list[float] = torch.autograd.grad(out.loss, given.logprob)[0].tolist()
    return found
