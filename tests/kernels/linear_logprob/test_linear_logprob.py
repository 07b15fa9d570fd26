"""linear_logprob: values and gradients against all logits in memory, forks and unread rows included."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from katcore.errors import KatError
from katkernels import linear_logprob as package
from katkernels.linear_logprob import check, linear_logprob
from katkernels.linear_logprob.chunked import logprob_chunked


def case(
    rows: int, targets: int, dtype: torch.dtype = torch.float64, size: int = 5, vocabulary: int = 11
) -> list[Tensor]:
    g = torch.Generator().manual_seed(rows * 100 + targets)
    hidden = torch.randn(rows, size, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
    weight = torch.randn(vocabulary, size, generator=g, dtype=torch.float64).to(dtype).requires_grad_()
    return [
        hidden,
        weight,
        torch.randint(vocabulary, (targets,), generator=g),
        torch.randint(rows, (targets,), generator=g),
    ]


def gradients_of(values: tuple[Tensor, Tensor], inputs: list[Tensor], used: str = "both") -> list[Tensor]:
    """Outputs, then the gradients of a loss that weighs every log-prob, every entropy or both differently."""
    weights = torch.linspace(-1, 2, len(values[0]), dtype=values[0].dtype)
    parts = {"logprob": (values[0] * weights).sum(), "entropy": (values[1] * weights.flip(0)).sum()}
    loss = sum(parts.values()) if used == "both" else parts[used]
    return [*values, *torch.autograd.grad(loss, inputs[:2])]


def gradients(backend: str, inputs: list[Tensor], temperature: float = 1.0) -> list[Tensor]:
    return gradients_of(linear_logprob(*inputs, temperature, backend=backend), inputs)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9), st.integers(1, 20), st.sampled_from([1, 100, 1 << 25]), st.sampled_from([0, 1 << 25]),
    st.sampled_from([1.0, 0.7, 2.5]), st.sampled_from(["both", "logprob", "entropy"]),
)  # fmt: skip
def test_tiles_equal_the_reference(
    rows: int, targets: int, tile_bytes: int, keep_bytes: int, temperature: float, used: str
) -> None:
    inputs = case(rows, targets)
    got = gradients_of(logprob_chunked(*inputs, temperature, tile_bytes, keep_bytes), inputs, used)
    expected = gradients_of(linear_logprob(*inputs, temperature, backend="reference"), inputs, used)
    for a, b in zip(got, expected):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_values_are_those_of_the_definition() -> None:
    hidden, weight, targets, row = case(4, 6)
    logprob, entropy = linear_logprob(hidden, weight, targets, row, 0.5)
    for m in range(6):
        p = torch.softmax(weight @ hidden[row[m]] / 0.5, 0)
        assert torch.isclose(logprob[m], p[targets[m]].log(), rtol=0, atol=1e-12)
        assert torch.isclose(entropy[m], -(p * p.log()).sum(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("keep_bytes", [0, 1 << 20])
def test_gradients_are_those_of_finite_differences(keep_bytes: int) -> None:
    hidden, weight, targets, row = case(5, 9)
    two_rows = 11 * 8 * 2
    assert torch.autograd.gradcheck(
        lambda h, w: logprob_chunked(h, w, targets, row, 0.8, two_rows, keep_bytes), (hidden, weight)
    )


def test_a_second_backward_gives_the_same() -> None:
    inputs = case(6, 9)
    loss = sum(x.sum() for x in linear_logprob(*inputs))
    first = torch.autograd.grad(loss, inputs[:2], retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(loss, inputs[:2])):
        assert torch.equal(a, b)


def test_scoring_without_gradients_gives_the_same_values() -> None:
    inputs = case(7, 12)
    with torch.no_grad():
        scored = linear_logprob(*inputs, 0.7, backend="chunked")
    for a, b in zip(scored, linear_logprob(*inputs, 0.7, backend="reference")):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


def test_probabilities_that_underflow_give_no_nan() -> None:
    hidden, weight, targets, row = case(4, 6, torch.float32)
    inputs = [(hidden.detach() * 1e3).requires_grad_(), weight, targets, row]
    wide = [x.detach().double().requires_grad_() for x in inputs[:2]] + inputs[2:]
    for a, b in zip(gradients("chunked", inputs), gradients("reference", wide)):
        torch.testing.assert_close(a.double(), b, rtol=1e-4, atol=1e-3)


def test_one_of_two_gradients_is_enough() -> None:
    hidden, weight, targets, row = case(5, 9)
    both = torch.autograd.grad(linear_logprob(hidden, weight, targets, row)[0].sum(), (hidden, weight))
    for i, frozen in enumerate(((hidden, weight.detach()), (hidden.detach(), weight))):
        (alone,) = torch.autograd.grad(linear_logprob(*frozen, targets, row)[0].sum(), frozen[i : i + 1])
        torch.testing.assert_close(alone, both[i])


def test_tied_weights_add_both_gradients() -> None:
    weight, tokens = case(3, 4)[1], torch.tensor([1, 2, 3])
    targets, row = torch.tensor([2, 3, 4, 0]), torch.tensor([0, 1, 2, 2])
    grads = []
    for backend in ("reference", "chunked"):
        logprob, _ = linear_logprob(weight[tokens], weight, targets, row, backend=backend)
        grads += torch.autograd.grad(logprob.sum(), weight)
    torch.testing.assert_close(grads[0], grads[1], rtol=0, atol=1e-12)


def test_rows_that_nobody_reads_get_no_gradient_and_no_work() -> None:
    hidden, weight, _, _ = case(6, 1)
    targets, row = torch.tensor([3, 1]), torch.tensor([4, 1])
    spoiled = hidden.detach().clone()
    spoiled[[0, 2, 3, 5]] = torch.nan
    spoiled.requires_grad_()
    (grad,) = torch.autograd.grad(sum(x.sum() for x in linear_logprob(spoiled, weight, targets, row)), spoiled)
    assert grad.isfinite().all()
    assert (grad[[0, 2, 3, 5]] == 0).all() and (grad[[1, 4]] != 0).all()


def test_no_targets() -> None:
    hidden, weight, targets, row = case(3, 0)
    logprob, entropy = linear_logprob(hidden, weight, targets, row)
    assert logprob.shape == entropy.shape == (0,)
    (logprob.sum() + entropy.sum()).backward()
    assert (hidden.grad == 0).all() and (weight.grad == 0).all()  # type: ignore[union-attr]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_fp32(dtype: torch.dtype) -> None:
    inputs = case(40, 60, dtype, size=64, vocabulary=3000)
    wide = [x.detach().double().requires_grad_() for x in inputs[:2]] + inputs[2:]
    got, expected = gradients("chunked", inputs), gradients("reference", wide)
    assert got[0].dtype == got[1].dtype == torch.float32 and got[2].dtype == got[3].dtype == dtype
    for a, b in zip(got[:2], expected[:2]):
        torch.testing.assert_close(a.double(), b, rtol=0, atol=2e-5)
    for a, b in zip(got[2:], expected[2:]):  # rounded once, at the end
        assert (a.double() - b).abs().max() <= 2 * torch.finfo(dtype).eps * b.abs().max()


def test_large_logits_stay_finite() -> None:
    hidden, weight, targets, row = case(4, 6, torch.float32)
    values = gradients("chunked", [(hidden.detach() * 1e4).requires_grad_(), weight, targets, row])
    assert all(x.isfinite().all() for x in values)
    assert (values[0] <= 0).all() and (values[1] >= -1e-3).all()


@pytest.mark.parametrize(("targets", "row"), [([11], [0]), ([-1], [0]), ([0], [3]), ([0], [-1])])
def test_indices_outside_are_refused(targets: list[int], row: list[int]) -> None:
    hidden, weight, _, _ = case(3, 1)
    with pytest.raises(ValueError, match="outside"):
        linear_logprob(hidden, weight, torch.tensor(targets), torch.tensor(row))


def test_wrong_shapes_and_temperatures_are_refused() -> None:
    hidden, weight, targets, row = case(3, 2)
    for args in (
        (hidden[0], weight, targets, row),
        (hidden, weight.float(), targets, row),
        (hidden, weight, targets, row[:1]),
    ):
        with pytest.raises(ValueError, match="want"):
            linear_logprob(*args)
    with pytest.raises(ValueError, match="temperature"):
        linear_logprob(hidden, weight, targets, row, 0.0)


@pytest.mark.parametrize("fault", ["value", "gradient"])
def test_a_backend_that_is_wrong_here_is_refused(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def wrong(hidden: Tensor, *rest: object, **options: int) -> tuple[Tensor, Tensor]:
        h = hidden * 1.001 if fault == "value" else hidden.detach() + 0 * hidden
        return logprob_chunked(h, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(package, "logprob_chunked", wrong)
    monkeypatch.setattr(check, "_checked", set())
    with pytest.raises(KatError, match=r"'chunked' is wrong here: torch\.float32, cpu"):
        linear_logprob(*case(3, 4, torch.float32))
