"""tree_attention: every backend against softmax over each token's own path, outputs and gradients."""

from __future__ import annotations

import pytest
import torch
from forests import CHAIN, COMB, ROOTS, STARS, forest, forests, paths
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from katcore.errors import KatError
from katkernels import tree_attention as package
from katkernels.tree_attention import check_backend, make_plan, segments, tree_attention

SHAPES = [CHAIN, STARS, COMB, ROOTS, forest([0]), forest([0] * 5 + [2] + [0] * 9 + [12] + [0] * 3 + [40, 0, 0, 1, 0])]


def tensors(end: Tensor, q_offset: int = 0, heads: tuple[int, int] = (4, 2), size: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(len(end))
    shapes = [(len(end) - q_offset, heads[0]), (len(end), heads[1]), (len(end), heads[1])]
    return [torch.randn(n, h, size, generator=generator, dtype=torch.float64, requires_grad=True) for n, h in shapes]


def by_path(q: Tensor, k: Tensor, v: Tensor, end: Tensor, q_offset: int) -> Tensor:
    """One query and one head at a time over the keys of its path: nothing of a mask."""
    group = q.shape[1] // k.shape[1]
    rows = []
    for i, path in enumerate(paths(end)):
        if i < q_offset:
            continue
        heads = []
        for h in range(q.shape[1]):
            keys, values = k[path, h // group], v[path, h // group]
            weights = torch.softmax(keys @ q[i - q_offset, h] / q.shape[-1] ** 0.5, 0)
            heads.append(weights @ values)
        rows.append(torch.stack(heads))
    return torch.stack(rows)


def assert_same(end: Tensor, q_offset: int, backend: str, heads: tuple[int, int] = (4, 2)) -> None:
    q, k, v = tensors(end, q_offset, heads)
    got = tree_attention(q, k, v, end, q_offset=q_offset, backend=backend)
    expected = by_path(q, k, v, end, q_offset)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    upstream = torch.randn_like(got)
    for a, b in zip(torch.autograd.grad(got, (q, k, v), upstream), torch.autograd.grad(expected, (q, k, v), upstream)):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("backend", ["reference", "segments"])
@pytest.mark.parametrize("end", SHAPES, ids=["chain", "stars", "comb", "roots", "one", "mixed"])
def test_equals_attention_over_the_path(end: Tensor, backend: str) -> None:
    assert_same(end, 0, backend)


@pytest.mark.parametrize("heads", [(1, 1), (4, 4), (6, 2), (8, 1)])
def test_query_heads_share_key_heads(heads: tuple[int, int]) -> None:
    assert_same(SHAPES[-1], 0, "reference", heads)
    assert_same(SHAPES[-1], 0, "segments", heads)


@settings(max_examples=40, deadline=None)
@given(forests(), st.data())
def test_any_forest_cut_anywhere(end: Tensor, data: st.DataObject) -> None:
    # Small limits: merged runs, single chains and divided chains must all occur in small trees.
    pairs, longest = data.draw(st.sampled_from([0, 20, 8192])), data.draw(st.sampled_from([3, 512]))
    q_offset = data.draw(st.integers(0, len(end) - 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "CALL_PAIRS", pairs)
        patch.setattr(segments, "LONGEST", longest)
        assert_same(end, q_offset, "segments")


@settings(max_examples=40, deadline=None)
@given(forests(), st.sampled_from([0, 20, 8192]), st.sampled_from([3, 512]))
def test_runs_cover_the_queries_with_exactly_their_paths(end: Tensor, pairs: int, longest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "CALL_PAIRS", pairs)
        patch.setattr(segments, "LONGEST", longest)
        plan = make_plan(end, len(end))
    path, at = paths(end), 0
    assert [run.start for run in plan.runs] + [len(end)] == [0] + [run.stop for run in plan.runs]
    for run in plan.runs:
        keys = plan.gather[at : at + run.above + run.stop - run.start].tolist()
        assert keys == path[run.start][:-1] + list(range(run.start, run.stop))
        assert run.chain == (len({int(end[i]) for i in range(run.start, run.stop)}) == 1)
        at += len(keys)
    assert at == len(plan.gather)


def test_a_sibling_changes_nothing_and_an_ancestor_everything_below() -> None:
    end = SHAPES[-1]
    q, k, v = (x.detach() for x in tensors(end))
    before = tree_attention(q, k, v, end)
    for changed in range(len(end)):
        other = v.clone()
        other[changed] += 1
        moved = (tree_attention(q, k, other, end) - before).abs().sum((1, 2)) > 0
        expected = [changed <= i < int(end[changed]) for i in range(len(end))]
        assert moved.tolist() == expected


def test_keys_after_the_last_query_are_not_seen() -> None:
    end = COMB
    q, k, v = (x.detach() for x in tensors(end))
    part = tree_attention(q[4:9], k, v, end, q_offset=4)
    torch.testing.assert_close(part, tree_attention(q, k, v, end)[4:9], rtol=0, atol=1e-12)


def test_a_plan_is_shared_by_layers_and_held_to_its_row() -> None:
    end = SHAPES[-1]
    q, k, v = (x.detach() for x in tensors(end))
    plan = make_plan(end.int(), len(end))
    torch.testing.assert_close(tree_attention(q, k, v, end, plan=plan), tree_attention(q, k, v, end))
    with pytest.raises(ValueError, match="the plan is for"):
        tree_attention(q[1:], k, v, end, q_offset=1, plan=plan)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_lower_precision_stays_near_fp64(dtype: torch.dtype) -> None:
    end = SHAPES[-1]
    q, k, v = (x.detach().to(dtype) for x in tensors(end))
    expected = tree_attention(q.double(), k.double(), v.double(), end, backend="reference")
    error = (tree_attention(q, k, v, end).double() - expected).abs().max() / expected.abs().max()
    assert error <= package.TOLERANCE[dtype]


@pytest.mark.parametrize(
    ("end", "message"),
    [([2, 1], r"\(j, Nk\]"), ([3, 2], r"\(j, Nk\]"), ([0, 2], r"\(j, Nk\]"), ([3, 2, 4, 4], "ends after")],
)
def test_ends_that_do_not_nest_are_refused(end: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_plan(torch.tensor(end), len(end))


def test_wrong_shapes_are_refused() -> None:
    q, k, v = (x.detach() for x in tensors(CHAIN))
    for args in ((q[None], k, v, CHAIN), (q, k, v[1:], CHAIN), (q[:, :3], k, v, CHAIN), (q, k, v, CHAIN.double())):
        with pytest.raises(ValueError):
            tree_attention(*args)
    with pytest.raises(ValueError, match="do not lie among"):
        tree_attention(q, k, v, CHAIN, q_offset=1)
    with pytest.raises(ValueError, match="not one of"):
        tree_attention(q, k, v, CHAIN, backend="magic")


@pytest.mark.parametrize("fault", ["forward", "gradient"])
def test_a_backend_that_is_wrong_here_is_refused(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    right = package.attend_segments

    def wrong(q: Tensor, k: Tensor, *rest: object) -> Tensor:
        out = right(q, k if fault == "forward" else k.detach() + 0 * k, *rest)  # type: ignore[arg-type]
        return out * (1.001 if fault == "forward" else 1)

    monkeypatch.setattr(package, "attend_segments", wrong)
    monkeypatch.setattr(package, "_checked", set())
    with pytest.raises(KatError, match="'segments' is wrong here: head size 24"):
        check_backend("segments", 24, torch.float32, torch.device("cpu"))
    q, k, v = (x.detach() for x in tensors(CHAIN, size=24))
    with pytest.raises(KatError, match="wrong here"):
        tree_attention(q, k, v, CHAIN)
