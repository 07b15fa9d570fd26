"""Packs whose samples share tokens: losses over the term table equal path-by-path training, coupled ones in two passes.

The paths are run apart, each token of each sample with a log-prob of its own; the trie's gradient at a token must be
the sum over the samples that share it.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import torch
from torch import Tensor

from katcore.model.tree_lm import TreeLM
from katcore.records import Pack
from katcore.train.batch import PackRow, steps
from katcore.train.losses import OBJECTIVES, LossInputs, LossSettings, linear_loss, linearise, scatter
from tests.support.naive_losses import NAN, Sample, Token, flat, segment_by_hand, token_by_hand
from tests.support.random_packs import Paths, make_pack, path_logprobs, tiny_model

LOW, HIGH = 0.05, 0.07
REDUCERS = {"turn": "turn-mean", "product": "turn-mean", "sequence": "seq-mean-token-mean", "token": "token-mean"}


def settings_of(kind: str) -> LossSettings:
    ratio: Any = "product" if kind == "product" else "mean"
    segment: Any = "turn" if kind == "product" else kind
    return LossSettings(LOW, HIGH, segment=segment, turn_ratio=ratio)


def made(seed: int, kind: str) -> tuple[Pack, Paths, PackRow]:
    """A pack of two trees in which every term counts 1, and its row with the scales of `kind`'s own reducer."""
    pack, paths = make_pack(seed, trees=2, samples=5)
    pack = msgspec.structs.replace(pack, rl_weight=[1.0] * len(pack.term_token))
    return pack, paths, next(steps([pack], REDUCERS[kind])).rows[0]


def as_inputs(row: PackRow, logprob: Tensor, old: Tensor) -> LossInputs:
    """The row's terms; `logprob` and `old` are of the unique tokens."""
    keys = list(zip(row.term_sample.tolist(), row.term_turn.tolist()))
    index = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    return LossInputs(
        logprob=logprob[row.term_token],
        entropy=torch.zeros_like(row.scale),
        scale=row.scale,
        kl_scale=row.flat_scale,
        rl_weight=row.rl_weight,
        ce_weight=row.ce_weight,
        kl_weight=row.kl_weight,
        advantage=row.advantage,
        old_logprob=old[row.term_token],
        segment_turn=torch.tensor([index[key] for key in keys]),
        segment_sample=row.term_sample,
    )


def by_paths(pack: Pack, paths: Paths, logprob: list[float], old: list[float], kind: str) -> tuple[float, list[float]]:
    """Loss, and slope at each unique token, with each sample written out by itself."""
    samples: list[Sample] = [Sample(a, []) for a in paths.advantages]
    owner: dict[int, int] = {}  # of each Token object, the unique token
    for (sample, _, turn, *_), token in zip(paths.terms, pack.term_token):
        while len(samples[sample].turns) <= turn:
            samples[sample].turns.append([])
        made = Token(logprob[token], old[token], NAN, NAN, NAN, 1.0, 0.0, 0.0, 0.0)
        samples[sample].turns[turn].append(made)
        owner[id(made)] = token
    if kind == "token":
        loss, slopes = token_by_hand(samples, "token-mean", LOW, HIGH)
    else:
        loss, slopes = segment_by_hand(samples, LOW, HIGH, "turn" if kind == "product" else kind, kind == "product")
    total = [0.0] * len(logprob)
    for (_, _, token), slope in zip(flat(samples), slopes):
        total[owner[id(token)]] += slope
    return loss, total


def random_logprobs(size: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    old = -3 * torch.rand(size, generator=generator, dtype=torch.float64)
    return (old + 0.2 * torch.randn(size, generator=generator, dtype=torch.float64)).requires_grad_(), old


@pytest.mark.parametrize("kind", REDUCERS)
@pytest.mark.parametrize("seed", range(5))
def test_packs_equal_path_by_path(seed: int, kind: str) -> None:
    pack, paths, row = made(seed, kind)
    logprob, old = random_logprobs(len(pack.tokens), seed)
    out = OBJECTIVES["gspo"].loss(as_inputs(row, logprob, old), settings_of(kind))
    loss, expected = by_paths(pack, paths, logprob.tolist(), old.tolist(), kind)
    (slope,) = torch.autograd.grad(out.loss, logprob)
    assert out.loss.item() == pytest.approx(loss, rel=1e-12)
    assert slope.tolist() == pytest.approx(expected, rel=1e-12, abs=1e-15)
    assert len(set(pack.term_token)) < len(pack.term_token)  # samples do share trained tokens


def test_the_packs_have_clipped_and_free_segments() -> None:
    for kind in REDUCERS:
        clipped = []
        for seed in range(5):
            pack, _, row = made(seed, kind)
            logprob, old = random_logprobs(len(pack.tokens), seed)
            metrics = OBJECTIVES["gspo"].loss(as_inputs(row, logprob, old), settings_of(kind)).metrics
            clipped += (metrics["clip_high"] + metrics["clip_low"]).tolist()
        assert 0.1 < sum(clipped) / len(clipped) < 0.9


@pytest.mark.parametrize("kind", REDUCERS)
@pytest.mark.parametrize("parts", [1, 3, 7])
def test_two_passes_equal_one_however_the_terms_are_cut(parts: int, kind: str) -> None:
    """Also inside a turn: each part knows only its own terms' log-probs and coefficients."""
    pack, _, row = made(3, kind)
    logprob, old = random_logprobs(len(pack.tokens), 3)
    inputs, settings = as_inputs(row, logprob, old), settings_of(kind)
    out = OBJECTIVES["gspo"].loss(inputs, settings)
    (expected,) = torch.autograd.grad(out.loss, logprob)
    linear = linearise(OBJECTIVES["gspo"].loss, inputs, settings)
    assert linear.outputs.loss == out.loss and not linear.outputs.loss.requires_grad
    total = torch.zeros_like(logprob)
    for part in torch.randperm(len(row.scale)).chunk(parts):
        loss = linear_loss(logprob[row.term_token[part]], linear.weight[part])
        total += torch.autograd.grad(loss, logprob)[0]
    assert total.tolist() == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-15)
    scaler = scatter(linear.weight, row.term_token, len(logprob))
    assert scaler.tolist() == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-15)


def test_a_part_alone_of_a_coupled_loss_would_be_wrong() -> None:
    """Otherwise the test above says nothing."""
    pack, _, row = made(3, "turn")
    logprob, old = random_logprobs(len(pack.tokens), 3)
    inputs, settings = as_inputs(row, logprob, old), settings_of("turn")
    (whole,) = torch.autograd.grad(OBJECTIVES["gspo"].loss(inputs, settings).loss, logprob, retain_graph=True)
    names = [name for name, value in vars(inputs).items() if isinstance(value, Tensor)]
    total = torch.zeros_like(logprob)
    for part in torch.randperm(len(row.scale), generator=torch.Generator().manual_seed(0)).chunk(5):
        some = LossInputs(**{name: getattr(inputs, name)[part] for name in names})
        total += torch.autograd.grad(OBJECTIVES["gspo"].loss(some, settings).loss, logprob, retain_graph=True)[0]
    assert (total - whole).abs().max() > 0.1 * whole.abs().max()


def older(seed: int) -> Any:
    """A model some steps before `tiny_model(seed)`."""
    model = tiny_model(seed)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(0.003 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return model


def path_loss(model: Any, paths: Paths, old: list[Tensor], kind: str) -> Tensor:
    """The segments' formula over the paths, each run by itself through the model."""
    new = path_logprobs(model, paths)
    segments: dict[tuple[int, int], list[int]] = {}
    for i, (sample, position, turn, *_) in enumerate(paths.terms):
        part = {"token": i, "sequence": 0}.get(kind, turn)
        segments.setdefault((sample, part), []).append(position - 1)
    total = torch.zeros((), dtype=torch.float64)
    for (sample, _), places in segments.items():
        logs = (new[sample] - old[sample])[places]
        s, a = (logs.sum() if kind == "product" else logs.mean()).exp(), paths.advantages[sample]
        siblings = sum(other == sample for other, _ in segments)
        share = len(segments) if kind == "token" else siblings * len(paths.sequences)
        total = total - torch.minimum(s * a, s.clamp(1 - LOW, 1 + HIGH) * a) / share
    return total


@pytest.mark.parametrize("kind", REDUCERS)
def test_every_parameters_gradient_through_a_model_in_two_passes(kind: str) -> None:
    pack, paths, row = made(6, kind)
    plain = tiny_model(6)
    expected = path_loss(plain, paths, [lp.detach() for lp in path_logprobs(older(6), paths)], kind)
    expected.backward()
    model = tiny_model(6)
    trained = torch.arange(len(pack.tokens))[row.tree.parent >= 0]

    def logprobs(of: Any) -> Tensor:
        found, _ = TreeLM(of, "reference").logprobs(row.tree, trained, 1.0)
        return torch.zeros(len(pack.tokens), dtype=found.dtype).index_copy(0, trained, found)

    with torch.no_grad():
        now, old = logprobs(model), logprobs(older(6))
    linear = linearise(OBJECTIVES["gspo"].loss, as_inputs(row, now, old), settings_of(kind))
    linear_loss(logprobs(model)[row.term_token], linear.weight).backward()
    assert linear.outputs.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for (name, got), wanted in zip(model.named_parameters(), plain.parameters()):
        assert float((got.grad - wanted.grad).abs().max() / wanted.grad.abs().max()) <= 1e-6, name
