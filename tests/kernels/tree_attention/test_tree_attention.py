"""tree_attention: every backend against softmax over each token's own path, outputs and gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from katkernels import tree_attention as package
from katkernels.tree_attention import make_plan, segments, tree_attention
from tests.support.forests import CHAIN, COMB, ROOTS, STARS, by_path, depths, forest, forests, paths

SHAPES = [CHAIN, STARS, COMB, ROOTS, forest([0]), forest([0] * 5 + [2] + [0] * 9 + [12] + [0] * 3 + [40, 0, 0, 1, 0])]


def tensors(end: Tensor, q_offset: int = 0, heads: tuple[int, int] = (4, 2), size: int = 8) -> list[Tensor]:
    generator = torch.Generator().manual_seed(len(end))
    shapes = [(len(end) - q_offset, heads[0]), (len(end), heads[1]), (len(end), heads[1])]
    return [torch.randn(n, h, size, generator=generator, dtype=torch.float64, requires_grad=True) for n, h in shapes]


def assert_same(
    end: Tensor, q_offset: int, backend: str, heads: tuple[int, int] = (4, 2), window: int | None = None
) -> None:
    """`gather`: what `segments` does on other devices than a CPU, with or without a window."""
    q, k, v = tensors(end, q_offset, heads)
    if backend == "gather":
        plan = make_plan(end, len(q), q_offset, depths(end), window)
        got = segments.attend_segments(q, k, v, plan.segments, q.shape[-1] ** -0.5, end, plan.depth, window)
    else:
        got = tree_attention(q, k, v, end, q_offset=q_offset, backend=backend, window=window, depth=depths(end))
    expected = by_path(q, k, v, end, q_offset, window)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    upstream = torch.randn_like(got)
    for a, b in zip(torch.autograd.grad(got, (q, k, v), upstream), torch.autograd.grad(expected, (q, k, v), upstream)):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


@pytest.mark.parametrize("backend", ["reference", "segments", "gather"])
@pytest.mark.parametrize("window", [None, 1, 4])
@pytest.mark.parametrize("end", SHAPES, ids=["chain", "stars", "comb", "roots", "one", "mixed"])
def test_equals_attention_over_the_path(end: Tensor, window: int | None, backend: str) -> None:
    assert_same(end, 0, backend, window=window)


@pytest.mark.parametrize("heads", [(1, 1), (4, 4), (6, 2), (8, 1)])
def test_query_heads_share_key_heads(heads: tuple[int, int]) -> None:
    assert_same(SHAPES[-1], 0, "reference", heads)
    assert_same(SHAPES[-1], 0, "segments", heads)
    assert_same(SHAPES[-1], 0, "gather", heads)


@settings(max_examples=40, deadline=None)
@given(forests(), st.data())
def test_any_forest_cut_anywhere(end: Tensor, data: st.DataObject) -> None:
    # Small limits: merged runs, single chains and divided chains must all occur in small trees.
    pairs, longest = data.draw(st.sampled_from([0, 20, 8192])), data.draw(st.sampled_from([3, 512]))
    q_offset, window = data.draw(st.integers(0, len(end) - 1)), data.draw(st.none() | st.integers(1, 12))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "CALL_PAIRS", pairs)
        patch.setattr(segments, "LONGEST", longest)
        assert_same(end, q_offset, "gather", window=window)


@settings(max_examples=40, deadline=None)
@given(forests(), st.sampled_from([0, 20, 8192]), st.sampled_from([3, 512]))
def test_runs_cover_the_queries_with_exactly_their_paths(end: Tensor, pairs: int, longest: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "CALL_PAIRS", pairs)
        patch.setattr(segments, "LONGEST", longest)
        plan = make_plan(end, len(end)).segments
    path, at = paths(end), 0
    assert [run.start for run in plan.runs] + [len(end)] == [0] + [run.stop for run in plan.runs]
    for run in plan.runs:
        keys = plan.gather[at : at + run.above + run.stop - run.start].tolist()
        assert keys == path[run.start][:-1] + list(range(run.start, run.stop))
        assert run.chain == (len({int(end[i]) for i in range(run.start, run.stop)}) == 1)
        at += len(keys)
    assert at == len(plan.gather)


@settings(max_examples=30, deadline=None)
@given(forests(most=80), st.integers(1, 20))
def test_a_window_gathers_what_its_queries_reach_and_little_more(end: Tensor, window: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "CALL_PAIRS", 0)
        patch.setattr(segments, "LONGEST", 4)
        plan = make_plan(end, len(end), depth=depths(end), window=window).segments
    path, at = paths(end), 0
    for run in plan.runs:
        keys = plan.gather[at : at + run.above + run.stop - run.start].tolist()
        reached = {j for i in range(run.start, run.stop) for j in path[i][-window:]}
        if run.chain:
            assert keys == sorted(reached | set(range(run.start, run.stop)))
        assert reached <= set(keys) and set(keys) <= set(path[run.start]) | set(range(run.start, run.stop))
        assert run.stop - run.start <= max(window, 4)
        at += len(keys)


def test_a_long_chain_under_a_window_costs_its_length_times_the_window() -> None:
    end = torch.full((4000,), 4000)
    plan = make_plan(end, 4000, depth=torch.arange(4000), window=200).segments
    assert len(plan.gather) < 2 * 4000


def test_a_window_is_the_sliding_window_of_transformers() -> None:
    from transformers.masking_utils import sliding_window_causal_mask_function

    theirs = sliding_window_causal_mask_function(7)
    mask = make_plan(CHAIN, len(CHAIN), depth=torch.arange(len(CHAIN)), window=7).mask
    zero, index = torch.tensor(0), torch.arange(len(CHAIN))
    assert torch.equal(mask, theirs(zero, zero, index[:, None], index[None, :]))
    assert mask.sum(1).max() == 7  # itself and the six before it


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
    for change in ({"q_offset": 1}, {"window": 3, "depth": depths(end)}):
        with pytest.raises(ValueError, match="the plan is for"):
            tree_attention(q[change.get("q_offset", 0) :], k, v, end, plan=plan, **change)  # type: ignore[arg-type]


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


@pytest.mark.parametrize(("depth", "window"), [(None, 3), (torch.arange(3), 3), (torch.arange(30), 0)])
def test_a_window_wants_depths_and_to_be_positive(depth: Tensor | None, window: int) -> None:
    with pytest.raises(ValueError, match="a window of"):
        make_plan(CHAIN, len(CHAIN), depth=depth, window=window)
