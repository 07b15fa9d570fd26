"""linear_logprob's GPU path in Triton's interpreter: values and gradients from the definition, one target at a time."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from katkernels.linear_logprob import fold, linear_logprob
from katkernels.linear_logprob.check import TOLERANCE, worst_error

BYTES = 8


def case(rows: int, targets: int, vocabulary: int, seed: int = 0) -> list[Tensor]:
    g = torch.Generator().manual_seed(seed)
    hidden = torch.randn(rows, 5, generator=g, dtype=torch.float64).requires_grad_()
    weight = torch.randn(vocabulary, 5, generator=g, dtype=torch.float64).requires_grad_()
    row = torch.randint(rows, (targets,), generator=g)
    return [hidden, weight, torch.randint(vocabulary, (targets,), generator=g), row]


def by_definition(inputs: list[Tensor], temperature: float) -> tuple[Tensor, Tensor]:
    """One target after the other, from p alone."""
    hidden, weight, targets, row = inputs
    logprob, entropy = [], []
    for t, r in zip(targets.tolist(), row.tolist()):
        e = ((weight @ hidden[r]) / temperature).exp()
        p = e / e.sum()
        logprob.append(p[t].log())
        entropy.append(-(p * p.log()).sum())
    return torch.stack(logprob), torch.stack(entropy)


def gradients(values: tuple[Tensor, Tensor], inputs: list[Tensor], used: str) -> list[Tensor]:
    scale = torch.linspace(-1, 2, len(values[0]), dtype=torch.float64)
    loss = (values[0] * scale).sum() if used != "entropy" else 0 * values[0].sum()
    if used != "logprob":
        loss = loss + (values[1] * scale.flip(0)).sum()
    return [*values, *torch.autograd.grad(loss, inputs[:2])]


@settings(max_examples=12, deadline=None)
@given(
    st.integers(1, 6), st.integers(1, 9), st.integers(2, 700), st.sampled_from([1, 1 << 20]),
    st.sampled_from([1.0, 0.6]), st.sampled_from(["both", "logprob", "entropy"]),
)  # fmt: skip
def test_any_case_equals_the_definition(
    rows: int, targets: int, vocabulary: int, tile_bytes: int, temperature: float, used: str
) -> None:
    inputs = case(rows, targets, vocabulary, rows + targets)
    got = gradients(fold.logprob_fold(*inputs, temperature, tile_bytes), inputs, used)
    for a, b in zip(got, gradients(by_definition(inputs, temperature), inputs, used)):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_it_passes_the_check_before_first_use(dtype: torch.dtype) -> None:
    assert worst_error(fold.logprob_fold, dtype, torch.device("cpu")) <= TOLERANCE[dtype]


def test_half_precision_errs_at_most_twice_as_much_as_half_precision_logits() -> None:
    g = torch.Generator().manual_seed(1)
    hidden, weight = torch.randn(24, 64, generator=g).bfloat16(), (torch.randn(900, 64, generator=g) / 3).bfloat16()
    targets, row = torch.randint(900, (24,), generator=g), torch.arange(24)

    def stock(h: Tensor, w: Tensor) -> Tensor:
        logp = torch.log_softmax((h @ w.T).to(torch.promote_types(h.dtype, torch.float32)), -1)
        return logp[row, targets]

    def ours(h: Tensor, w: Tensor) -> Tensor:
        return linear_logprob(h, w, targets, row, backend="fold")[0]

    results = []
    for compute, dtype in ((stock, torch.float64), (stock, torch.bfloat16), (ours, torch.bfloat16)):
        h, w = (x.to(dtype).requires_grad_() for x in (hidden, weight))
        value = compute(h, w)
        results.append([value, *torch.autograd.grad(value.sum(), (h, w))])
    for exact, half, found in zip(*results):
        error, allowed = ((x.double() - exact).square().mean().sqrt() for x in (found, half))
        assert error <= 2 * allowed
    assert (results[2][0].double() - results[0][0]).abs().max() < 1e-5  # log-probs are those of fp32 logits


def test_frozen_inputs_cost_no_product(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, targets, row = case(4, 6, 40)
    both = torch.autograd.grad(fold.logprob_fold(hidden, weight, targets, row, 1.0)[0].sum(), (hidden, weight))
    made: list[tuple[int, ...]] = []
    product = fold.product

    def counted(a: Tensor, b: Tensor, out: Tensor, *, alpha: float, beta: float) -> None:
        made.append(tuple(out.shape))
        product(a, b, out, alpha=alpha, beta=beta)

    monkeypatch.setattr(fold, "product", counted)
    for i, frozen in enumerate(((hidden, weight.detach()), (hidden.detach(), weight))):
        made.clear()
        (alone,) = torch.autograd.grad(fold.logprob_fold(*frozen, targets, row, 1.0)[0].sum(), frozen[i])
        assert torch.equal(alone, both[i])
        assert made == [(len(row.unique()), 40)] * 2 + [(len(row.unique()), 5)] * (i == 0)  # logits twice, then dh


def test_unread_rows_and_no_targets() -> None:
    hidden, weight, _, _ = case(6, 1, 20)
    spoiled = hidden.detach().clone()
    spoiled[[0, 2, 3, 5]] = torch.nan
    spoiled.requires_grad_()
    for targets, row in (([3, 1], [4, 1]), ([], [])):
        values = fold.logprob_fold(spoiled, weight, torch.tensor(targets).long(), torch.tensor(row).long(), 1.0)
        d_hidden, d_weight = torch.autograd.grad(values[0].sum() + values[1].sum(), (spoiled, weight))
        assert d_hidden.isfinite().all() and d_weight.isfinite().all()
        assert (d_hidden != 0).any(1).nonzero()[:, 0].tolist() == sorted(row)


@pytest.mark.parametrize("rows", [1, 100, 4096, 16_384, 65_536])
@pytest.mark.parametrize("vocabulary", [151_936, 128_256, 32_000, 7])
def test_tiles_cover_the_vocabulary_within_the_memory(rows: int, vocabulary: int) -> None:
    width = fold.tile_width(rows, vocabulary, 4)
    assert width == vocabulary or width % fold.NARROWEST == 0
    assert width <= vocabulary and rows * width * 4 <= fold.TILE_BYTES * 1.07 + rows * 4 * fold.NARROWEST
    assert fold.workspace_bytes(rows, 4096, vocabulary, torch.bfloat16) <= 1.5 * 2**30
    rest = vocabulary % width  # no narrow tile at the end
    assert rest == 0 or rest >= width - fold.NARROWEST * -(-vocabulary // width)
