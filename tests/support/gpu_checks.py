"""What a GPU has to prove before our kernels are trusted on it: each check raises, with figures, or returns.

Run by pytest (`tests/kernels/test_gpu.py`) or, where there is none, as a program: `make test-gpu` does either. Checks:
every backend against the fp64 reference in every dtype that it takes, gradients too, on a forest with inherited keys,
with one and with four query heads to a key head, with a window and without; its bf16 error at real sizes at most twice
that of the stock bf16 path, both against fp32 or better; the memory that the fused head says it takes. fp16 goes
without a window, and flex, a peer that compiles long, in bf16 up to head size 128: all has to end in eight minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product

import torch
from torch import Tensor
from triton.errors import TritonError

from katcore.errors import KatError
from katkernels.linear_logprob import check as head_check
from katkernels.linear_logprob import fold, linear_logprob
from katkernels.linear_logprob.chunked import logprob_chunked
from katkernels.tree_attention import check_backend, tree_attention
from katkernels.tree_attention.backends import refusal
from katkernels.tree_attention.check import choose

CUDA = torch.device("cuda")
DTYPES = (torch.float32, torch.bfloat16, torch.float16)
ATTENTION = ("segments", "triton", "flex", "fa4")
HEAD_SIZES = (64, 128, 256)


def cases() -> Iterator[tuple[str, Callable[[], None]]]:
    """Names and checks."""
    for dtype in (*DTYPES, torch.float64):
        yield f"head fold {dtype}", partial(head_agrees, dtype)
    yield "head chunked bf16", partial(head_agrees, torch.bfloat16, logprob_chunked)
    for temperature in (1.0, 0.7):
        yield f"head fold bf16 error, temperature {temperature}", partial(head_is_as_good_as_stock, temperature)
    yield "head fold workspace", head_workspace
    for backend, size in product(ATTENTION, HEAD_SIZES):
        taken = [dtype for dtype in DTYPES if _taken(backend, size, dtype)]
        for dtype, windowed in product(taken, (False, True)):
            if not (windowed and dtype == torch.float16):
                name = f"attention {backend} {size} {dtype}{' window' * windowed}"
                yield name, partial(check_backend, backend, size, dtype, CUDA, windowed)
        if torch.bfloat16 in taken:
            yield f"attention {backend} {size} bf16 error", partial(attention_is_as_good_as_stock, backend, size)
    yield "attention auto takes a fast backend", auto_is_fast


def _taken(backend: str, size: int, dtype: torch.dtype) -> bool:
    """Whether this GPU is to run a case; where it cannot, that is said, and not counted as passed."""
    if backend == "flex" and (dtype != torch.bfloat16 or size > 128):
        return False
    reason = refusal(backend, size, dtype, CUDA)
    if reason:
        print(f"left out: attention {backend} {size} {dtype}: {reason}", file=sys.stderr)
    return not reason


def auto_is_fast() -> None:
    """In bf16 and fp32 at head size 128: on a GPU with triton `auto` must not fall back on `segments`."""
    for dtype in (torch.bfloat16, torch.float32):
        chosen = choose(128, dtype, CUDA, False)
        assert chosen in ("fa4", "triton"), f"{dtype}: {chosen}"


def head_agrees(dtype: torch.dtype, compute: Callable[..., tuple[Tensor, Tensor]] = fold.logprob_fold) -> None:
    """Forks, unread rows, several tiles, temperature, entropy gradient."""
    error = head_check.worst_error(compute, dtype, CUDA)
    assert error <= head_check.TOLERANCE[dtype], f"relative error {error:.3g}"


def head_is_as_good_as_stock(temperature: float) -> None:
    """bf16, 1,024 rows, some of them forks, V 50,000: at most twice the error of bf16 logits and their autograd."""
    generator = torch.Generator(CUDA).manual_seed(0)
    hidden = torch.randn(1024, 1024, device=CUDA, generator=generator).bfloat16()
    weight = (torch.randn(50_000, 1024, device=CUDA, generator=generator) / 16).bfloat16()
    targets = torch.randint(50_000, (1500,), device=CUDA, generator=generator)
    row = torch.randint(1024, (1500,), device=CUDA, generator=generator)
    upstream = torch.randn(2, 1500, device=CUDA, generator=generator)

    def stock(h: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        logp = torch.log_softmax((h @ w.T).to(torch.promote_types(h.dtype, torch.float32)) / temperature, -1)
        return logp[row, targets], -(logp.exp() * logp).sum(-1)[row]

    def ours(h: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        return linear_logprob(h, w, targets, row, temperature, backend="fold")

    exact = _outputs(stock, (hidden.double(), weight.double()), upstream)
    _compare(_outputs(ours, (hidden, weight), upstream), _outputs(stock, (hidden, weight), upstream), exact)


def head_workspace() -> None:
    """M 4,096, H 4,096, V 151,936 in bf16: at most 1.5 GiB, and what `workspace_bytes` says, within a tenth."""
    rows, size, vocabulary = 4096, 4096, 151_936
    hidden = torch.randn(rows, size, device=CUDA, dtype=torch.bfloat16, requires_grad=True)
    weight = (torch.randn(vocabulary, size, device=CUDA, dtype=torch.bfloat16) / 64).requires_grad_()
    targets, row = torch.randint(vocabulary, (rows,), device=CUDA), torch.arange(rows, device=CUDA)
    linear_logprob(hidden[:8], weight, targets[:8], row[:8], backend="fold")  # the check before first use
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    logprob, entropy = linear_logprob(hidden, weight, targets, row, backend="fold")
    torch.autograd.grad(logprob.sum() + entropy.sum(), (hidden, weight))
    gradients = (hidden.numel() + weight.numel()) * 2
    taken = torch.cuda.max_memory_allocated() - before - gradients
    said = fold.workspace_bytes(rows, size, vocabulary, torch.bfloat16)
    assert taken <= 1.5 * 2**30 and abs(taken / said - 1) <= 0.1, f"{taken / 2**20:.0f} MiB, said {said / 2**20:.0f}"


def attention_is_as_good_as_stock(backend: str, size: int) -> None:
    """A tree of 2,304 tokens, heads 8:2, bf16: at most twice the error of SDPA with a dense mask."""
    tokens = 2304
    end = torch.full((tokens,), tokens, device=CUDA)
    for branch in range(3):  # a trunk of 768 tokens, three branches of 512
        end[768 + 512 * branch : 768 + 512 * (branch + 1)] = 768 + 512 * (branch + 1)
    index = torch.arange(tokens, device=CUDA)
    mask = (index[None] <= index[:, None]) & (index[:, None] < end[None])  # [query, key]
    generator = torch.Generator(CUDA).manual_seed(0)
    inputs = [torch.randn(tokens, h, size, device=CUDA, generator=generator).bfloat16() for h in (8, 2, 2)]
    upstream = torch.randn(tokens, 8, size, device=CUDA, generator=generator)

    def stock(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor]:
        q, k, v = (x.transpose(0, 1)[None] for x in (q, k, v))  # [1, H, N, D]
        out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
        return (out[0].transpose(0, 1),)

    def ours(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor]:
        return (tree_attention(q, k, v, end, backend=backend),)

    exact = _outputs(stock, tuple(x.double() for x in inputs), upstream[None])
    _compare(_outputs(ours, tuple(inputs), upstream[None]), _outputs(stock, tuple(inputs), upstream[None]), exact)


def _outputs(compute: Callable[..., tuple[Tensor, ...]], inputs: tuple[Tensor, ...], upstream: Tensor) -> list[Tensor]:
    """Values, then the gradients of the inputs."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    values = compute(*leaves)
    grads = torch.autograd.grad(values, leaves, [u.to(v.dtype) for u, v in zip(upstream, values)])
    return [*(v.detach() for v in values), *grads]


def _compare(ours: list[Tensor], stock: list[Tensor], exact: list[Tensor]) -> None:
    """Root of the mean squared error of each output and gradient, at most twice the stock path's."""
    errors = [[float((x.double() - y).square().mean().sqrt()) for x, y in zip(side, exact)] for side in (ours, stock)]
    assert all(a <= 2 * b for a, b in zip(*errors)), f"ours {errors[0]}, stock {errors[1]}"


def main() -> int:
    """Every check, a line each; for machines without pytest."""
    failed = passed = 0
    for name, check in cases():
        started = time.perf_counter()
        try:
            check()
        except (AssertionError, RuntimeError, ValueError, KatError, TritonError) as error:
            failed += 1
            print(f"FAIL {name}: {error}", flush=True)
        else:
            passed += 1
            print(f"ok   {name} ({time.perf_counter() - started:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
