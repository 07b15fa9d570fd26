"""Log-probs and entropies of tokens from hidden states, without holding all the logits.

Legend: R hidden rows, H hidden size, V vocabulary, M targets. `row[m]` names the hidden row that predicts target m, so
that a fork in a tree, where one state predicts several tokens, needs no copy of the state. With z = hidden Wᵀ / T:

    logprob[m] = z[row, target] − logsumexp(z[row])            entropy[m] = −Σ_v p_v log p_v,  p = softmax(z[row])

Both are computed, summed over chunks included, in max(fp32, the inputs' dtype). `reference` holds all logits;
`chunked` holds a few rows of them at a time and computes them again in the backward pass.
"""

from __future__ import annotations

from torch import Tensor

from katkernels.linear_logprob.chunked import logprob_chunked
from katkernels.linear_logprob.reference import logprob_dense

__all__ = ["BACKENDS", "linear_logprob"]

BACKENDS = ("auto", "reference", "chunked")


def linear_logprob(
    hidden: Tensor,  # [R, H]
    weight: Tensor,  # [V, H]
    targets: Tensor,  # [M] int64
    row: Tensor,  # [M] int64, index into hidden
    temperature: float = 1.0,
    *,
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """(logprob [M], entropy [M]) in max(fp32, dtype), natural log; differentiable in hidden and weight.

    Rows that no target names cost nothing. ValueError for shapes or indices that do not fit.
    """
    _check(hidden, weight, targets, row, temperature)
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    compute = logprob_dense if backend == "reference" else logprob_chunked
    return compute(hidden, weight, targets.long(), row.long(), temperature)


def _check(hidden: Tensor, weight: Tensor, targets: Tensor, row: Tensor, temperature: float) -> None:
    if hidden.ndim != 2 or weight.ndim != 2 or hidden.shape[1] != weight.shape[1] or hidden.dtype != weight.dtype:
        raise ValueError(
            f"hidden {tuple(hidden.shape)} {hidden.dtype}, weight {tuple(weight.shape)} {weight.dtype}: "
            "want [R, H] and [V, H] of one dtype"
        )
    if targets.ndim != 1 or targets.shape != row.shape:
        raise ValueError(f"targets {tuple(targets.shape)}, row {tuple(row.shape)}: want one of each for M targets")
    if not temperature > 0:
        raise ValueError(f"temperature {temperature} must be above 0")
    if len(targets):
        # A negative index would silently read from the other end.
        for name, index, size in (("targets", targets, len(weight)), ("row", row, len(hidden))):
            low, high = int(index.min()), int(index.max())
            if low < 0 or high >= size:
                raise ValueError(f"{name} has {low if low < 0 else high}, outside [0, {size})")
