"""Log-probs and entropies of tokens from hidden states, without holding all the logits.

Legend: R hidden rows, H hidden size, V vocabulary, M targets. `row[m]` names the hidden row that predicts target m, so
that a fork in a tree, where one state predicts several tokens, needs no copy of the state. With z = hidden Wᵀ / T:

    logprob[m] = z[row, target] − logsumexp(z[row])            entropy[m] = −Σ_v p_v log p_v,  p = softmax(z[row])

Both are computed, summed over tiles included, in max(fp32, the inputs' dtype). `reference` holds all logits; `chunked`
is for CPUs: a few rows of logits at a time; `fold` is for GPUs: cuBLAS products with a part of the vocabulary at a time
and Triton kernels between them. `auto` takes `fold` on CUDA and `chunked` elsewhere. The first use of either with a
dtype is checked against the reference, gradients too; a backend that is wrong is refused, never used.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor

from katcore.errors import KatError
from katkernels.linear_logprob.check import check_backend
from katkernels.linear_logprob.chunked import logprob_chunked
from katkernels.linear_logprob.reference import logprob_dense

__all__ = ["BACKENDS", "head_bytes", "linear_logprob"]

BACKENDS = ("auto", "reference", "chunked", "fold")


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

    Rows that no target names cost nothing. ValueError for shapes or indices that do not fit, KatError for a backend
    that cannot run here or fails its check.
    """
    _check(hidden, weight, targets, row, temperature)
    if backend not in BACKENDS:
        raise ValueError(f"backend {backend!r} is not one of {', '.join(BACKENDS)}")
    if backend == "auto":
        backend = _fastest(hidden.device)
    compute = _backend(backend, hidden.device)
    if backend != "reference":
        check_backend(backend, compute, hidden)
    return compute(hidden, weight, targets.long(), row.long(), temperature)


def head_bytes(rows: int, size: int, vocabulary: int, dtype: torch.dtype, device: torch.device) -> int:
    """Bytes that `auto` needs for `rows` rows that are read: both passes, without inputs, outputs and gradients."""
    module = import_module(f"katkernels.linear_logprob.{_fastest(device)}")
    needed: int = module.workspace_bytes(rows, size, vocabulary, dtype)
    return needed


def _fastest(device: torch.device) -> str:
    return "fold" if device.type == "cuda" and find_spec("triton") else "chunked"


def _backend(name: str, device: torch.device) -> Callable[..., tuple[Tensor, Tensor]]:
    if name == "reference":
        return logprob_dense
    if name == "chunked":
        return logprob_chunked
    if not find_spec("triton"):
        raise KatError("linear_logprob backend 'fold' needs triton", hint="pip install triton, or take chunked")
    from triton import knobs

    from katkernels.linear_logprob.fold import logprob_fold  # triton is not on every machine, and slow to import

    if device.type != "cuda" and not knobs.runtime.interpret:
        raise KatError(
            f"linear_logprob backend 'fold' runs on CUDA, not on {device.type}",
            hint="with TRITON_INTERPRET=1 it runs on a CPU, slowly, for tests",
        )
    return logprob_fold


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
        # A negative index would silently read from the other end. One copy from the device for all four ends.
        ends = torch.stack([f(x) for x in (targets.long(), row.long()) for f in (torch.min, torch.max)]).tolist()
        for name, (low, high), size in (("targets", ends[:2], len(weight)), ("row", ends[2:], len(hidden))):
            if low < 0 or high >= size:
                raise ValueError(f"{name} has {low if low < 0 else high}, outside [0, {size})")
