"""The Triton kernels against softmax over each token's own path: on a GPU where there is one, else interpreted."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.forests import COMB, ROOTS, STARS, by_path, depths, forest, forests

if not torch.cuda.is_available():  # read when the kernels are first imported, inside the tests
    os.environ["TRITON_INTERPRET"] = "1"

from katcore.errors import KatError
from katkernels.tree_attention import make_plan, tree_attention
from katkernels.tree_attention.backends import attend
from katkernels.tree_attention.check import _checked, check_backend

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SHAPES = {
    "stars": STARS,
    "comb": COMB,
    "roots": ROOTS,
    "one": forest([0]),
    "crossing": forest([0] * 40 + [9] + [0] * 30 + [55] + [0] * 20),  # chains over the edges of tiles of 16
}
ERROR = {torch.float32: 2e-6, torch.bfloat16: 2e-2, torch.float16: 2e-3}  # of the largest value


@pytest.fixture
def tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 16, so that small trees fill several."""
    small_tiles(monkeypatch)


def small_tiles(patch: pytest.MonkeyPatch) -> None:
    from katkernels.tree_attention import triton_backend

    small = triton_backend.Tiles((32, 16), (16, 32), (16, 16))
    patch.setattr(triton_backend, "tiles_for", lambda *_: small)


def assert_same(
    end: Tensor,
    q_offset: int = 0,
    heads: tuple[int, int] = (2, 1),
    window: int | None = None,
    size: int = 16,
    dtype: torch.dtype = torch.float32,
) -> None:
    generator = torch.Generator().manual_seed(len(end))
    shapes = [
        (len(end) - q_offset, heads[0]),
        (len(end), heads[1]),
        (len(end), heads[1]),
        (len(end) - q_offset, heads[0]),
    ]
    inputs = [torch.randn(n, h, size, generator=generator).to(dtype) for n, h in shapes]
    q, k, v = (x.to(DEVICE).requires_grad_() for x in inputs[:3])
    plan = make_plan(end.to(DEVICE), len(q), q_offset, depths(end).to(DEVICE), window)
    out = attend("triton", q, k, v, plan, size**-0.5)
    got = [out, *torch.autograd.grad(out, (q, k, v), inputs[3].to(DEVICE))]
    wide = [x.double().requires_grad_() for x in inputs[:3]]
    out = by_path(wide[0], wide[1], wide[2], end, q_offset, window)
    expected = [out, *torch.autograd.grad(out, wide, inputs[3].double())]
    largest = max(x.detach().abs().max() for x in expected[1:])  # d_q and d_k of a one-token tree are 0
    for name, a, b in zip(("out", "d_q", "d_k", "d_v"), got, expected):
        assert a.dtype == dtype
        error = float((a.detach().double().cpu() - b.detach()).abs().max() / largest)
        assert error <= ERROR[dtype], f"{name}: {error:.2g}"


@pytest.mark.parametrize("window", [None, 7, 40])
@pytest.mark.parametrize("end", SHAPES.values(), ids=SHAPES.keys())
def test_equals_attention_over_the_path(tiles: None, end: Tensor, window: int | None) -> None:
    assert_same(end, window=window)


@pytest.mark.parametrize("q_offset", [1, 16, 37, 91])
def test_inherited_keys(tiles: None, q_offset: int) -> None:
    assert_same(SHAPES["crossing"], q_offset, (1, 1))
    assert_same(SHAPES["crossing"], q_offset, (1, 1), window=20)


@pytest.mark.parametrize("heads", [(1, 1), (8, 1), (4, 2)])
def test_query_heads_share_key_heads(tiles: None, heads: tuple[int, int]) -> None:
    assert_same(COMB, 3, heads)


@pytest.mark.parametrize("size", [64, 128, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_head_sizes_and_dtypes(size: int, dtype: torch.dtype) -> None:
    assert_same(COMB, 3, (2, 1), 9, size, dtype)


@settings(max_examples=5, deadline=None)
@given(forests(most=60), st.data())
def test_any_forest_cut_anywhere(end: Tensor, data: st.DataObject) -> None:
    q_offset, window = data.draw(st.integers(0, len(end) - 1)), data.draw(st.none() | st.integers(1, 25))
    with pytest.MonkeyPatch.context() as patch:
        small_tiles(patch)
        assert_same(end, q_offset, (2, 1), window)


def test_keys_after_the_last_query_get_no_gradient(tiles: None) -> None:
    q, k = torch.randn(10, 1, 16, device=DEVICE), torch.randn(len(COMB), 1, 16, device=DEVICE, requires_grad=True)
    out = attend("triton", q, k, k, make_plan(COMB.to(DEVICE), 10, 4), 0.25)
    (gradient,) = torch.autograd.grad(out.sum(), k)
    seen = [any(j <= i < int(COMB[j]) for i in range(4, 14)) for j in range(len(COMB))]
    assert gradient.abs().sum((1, 2)).gt(0).tolist() == seen and not any(seen[14:])


def test_large_scores_stay_finite(tiles: None) -> None:
    end = SHAPES["crossing"].to(DEVICE)
    q = torch.randn(len(end), 1, 16, device=DEVICE, requires_grad=True)
    out = attend("triton", q, q, q, make_plan(end, len(end)), 1e4)
    (gradient,) = torch.autograd.grad(out.sum(), q)
    assert out.isfinite().all() and gradient.isfinite().all()


@pytest.mark.parametrize("windowed", [False, True])
def test_the_backend_passes_its_check(monkeypatch: pytest.MonkeyPatch, windowed: bool) -> None:
    from katkernels.tree_attention import check

    if DEVICE.type == "cpu":
        monkeypatch.setattr(check, "TOKENS", 300)
    check_backend("triton", 64, torch.float32, DEVICE, windowed)
    assert ("triton", 64, torch.float32, DEVICE.type, windowed) in _checked


def test_a_wrong_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from katkernels.tree_attention import blocks, check, triton_backend

    right = triton_backend._launch

    def without_masks(name: str, tensors: tuple[Tensor, ...], plan: object, *rest: object) -> None:
        partial, full, *others = rest
        assert isinstance(partial, blocks.TileList)
        none = blocks.TileList(torch.zeros_like(partial.count), partial.index)
        right(name, tensors, plan, none if name == "d_kv_kernel" else partial, full, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(triton_backend, "_launch", without_masks)
    monkeypatch.setattr(check, "TOKENS", 300)
    monkeypatch.setattr(check, "_checked", set())
    with pytest.raises(KatError, match="'triton' is wrong here: head size 32"):
        check_backend("triton", 32, torch.float32, DEVICE)


@pytest.mark.parametrize(("size", "dtype"), [(24, torch.float32), (32, torch.float64)])
def test_what_it_cannot_take_is_refused(size: int, dtype: torch.dtype) -> None:
    q = torch.randn(3, 1, size, dtype=dtype, device=DEVICE)
    with pytest.raises(KatError, match="cannot take"):
        tree_attention(q, q, q, torch.full((3,), 3, device=DEVICE), backend="triton")


@pytest.mark.slow
def test_without_the_interpreter_a_cpu_is_refused() -> None:
    code = """
import torch
from katcore.errors import KatError
from katkernels.tree_attention import tree_attention
q = torch.randn(3, 1, 64)
try:
    tree_attention(q, q, q, torch.full((3,), 3), backend="triton")
except KatError as error:
    print(error)
"""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert "on a CPU only with TRITON_INTERPRET=1" in done.stdout
