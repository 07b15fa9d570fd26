"""The check at first use, the choice of `auto`, and backends that are not there."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch
from torch import Tensor

from katcore.errors import KatError
from katkernels.tree_attention import backends, check, tree_attention
from katkernels.tree_attention.backends import attend
from katkernels.tree_attention.plan import AttentionPlan

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing has been checked or chosen yet."""
    monkeypatch.setattr(check, "_checked", set())
    check.choose.cache_clear()


@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_segments_pass(dtype: torch.dtype, windowed: bool) -> None:
    check.check_backend("segments", 16, dtype, CPU, windowed)
    assert check._checked == {("segments", 16, dtype, "cpu", windowed)}


@pytest.mark.parametrize("fault", ["forward", "d_q", "d_k", "d_v", "a sibling seen", "window ignored"])
def test_a_backend_that_is_wrong_here_is_refused(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    def wrong(backend: str, q: Tensor, k: Tensor, v: Tensor, plan: AttentionPlan, scale: float) -> Tensor:
        if backend == "reference":
            return attend(backend, q, k, v, plan, scale)
        if fault == "a sibling seen":
            leaf = int(torch.nonzero(plan.end == torch.arange(plan.keys) + 1)[3])
            end = plan.end.clone()
            end[leaf] += 1
            plan = AttentionPlan(end, plan.queries, plan.q_offset, plan.depth, plan.window)
        if fault == "window ignored":
            plan = AttentionPlan(plan.end, plan.queries, plan.q_offset, None, None)
        # A value as it should be, whose gradient is lost.
        q, k, v = (x.detach() + 0 * x if fault == name else x for x, name in ((q, "d_q"), (k, "d_k"), (v, "d_v")))
        return attend("reference", q, k, v, plan, scale) * (1.001 if fault == "forward" else 1)

    monkeypatch.setattr(check, "attend", wrong)
    with pytest.raises(
        KatError, match=r"'segments' is wrong here: head size 24, torch\.float32, cpu, window: relative"
    ):
        check.check_backend("segments", 24, torch.float32, CPU, windowed=True)
    assert not check._checked


def test_each_case_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def counting(backend: str, *rest: object) -> Tensor:
        calls.append(backend)
        return attend(backend, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(check, "attend", counting)
    q, end, depth = torch.randn(3, 1, 16), torch.full((3,), 3), torch.arange(3)
    for window in (None, None, 2, 2):
        tree_attention(q, q, q, end, window=window, depth=depth)
    assert calls.count("segments") == 4  # two numbers of heads, with and without a window


def test_auto_takes_segments_on_a_cpu() -> None:
    assert check.choose(16, torch.float32, CPU, False) == "segments"


def test_auto_warns_of_a_backend_that_fails_and_takes_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(backend: str, q: Tensor, *rest: object) -> Tensor:
        return attend("reference", q, *rest) * (1.1 if backend == "triton" else 1)  # type: ignore[arg-type]

    monkeypatch.setattr(check, "attend", wrong)
    monkeypatch.setattr(check, "refuse", lambda *_: None)
    monkeypatch.setattr(check, "candidates", lambda *_: ["triton", "segments"])
    with pytest.warns(RuntimeWarning, match="'triton' is wrong here"):
        assert check.choose(16, torch.float32, CPU, False) == "segments"


def test_a_gpu_is_offered_the_fastest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "refusal", lambda name, *_: "is not installed" if name == "fa4" else "")
    gpu = torch.device("cuda")
    assert backends.candidates(128, torch.bfloat16, gpu) == ["triton", "segments"]
    monkeypatch.setattr(backends, "refusal", lambda *_: "")
    assert backends.candidates(128, torch.bfloat16, gpu) == ["fa4", "triton", "segments"]


@pytest.mark.parametrize("backend", ["triton", "fa4"])
def test_a_backend_that_is_not_installed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.setattr(backends, "installed", lambda _: False)
    q = torch.randn(3, 1, 64)
    with pytest.raises(KatError, match="is not installed") as caught:
        tree_attention(q, q, q, torch.full((3,), 3), backend=backend)
    assert caught.value.hint and "pip install" in caught.value.hint


def test_flash_attention_4_that_does_not_import_says_so() -> None:
    from katkernels.tree_attention import fa4

    assert "Hopper" in fa4.refusal(128, torch.bfloat16, CPU) and "bf16 and fp16" in fa4.refusal(128, torch.float32, CPU)
    if find_spec("flash_attn") is None:
        assert not backends.installed("flash_attn.cute")
        with pytest.raises(KatError, match="'fa4' cannot be imported"):
            fa4.modules()
