"""Tree attention chain by chain: any forest, cut anywhere; every visible pair is computed once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from katkernels.tree_attention import chains, make_plan, tree_attention
from tests.support.forests import COMB, by_path, forest, forests

LIMITS = [(0, 256), (20, 256), (20, 7), (4096, 256)]
"""Pairs that a call costs, and the largest block: single chains, merged ones and everything at once."""


def limited(patch: pytest.MonkeyPatch, limits: tuple[int, int]) -> None:
    patch.setattr(chains, "CALL_PAIRS", limits[0])
    patch.setattr(chains, "LARGEST", limits[1])


def visible(call: chains.Call) -> Tensor:
    """The pairs [L, P] of a call that count."""
    rows, keys = torch.arange(call.start, call.stop), torch.arange(call.first, call.last)
    if not call.own:
        return torch.ones(len(rows), len(keys), dtype=torch.bool)
    return call.seen if call.seen is not None else keys[None, :] <= rows[:, None]


@settings(max_examples=60, deadline=None)
@given(forests(), st.sampled_from(LIMITS), st.data())
def test_calls_cover_what_a_query_sees_once(end: Tensor, limits: tuple[int, int], data: st.DataObject) -> None:
    q_offset = data.draw(st.integers(0, len(end) - 1))
    queries = data.draw(st.integers(1, len(end) - q_offset))
    with pytest.MonkeyPatch.context() as patch:
        limited(patch, limits)
        plan = make_plan(end, queries, q_offset)
        calls = plan.calls
    times = torch.zeros(queries, len(end), dtype=torch.int64)
    for number, call in enumerate(calls):
        times[call.start - q_offset : call.stop - q_offset, call.first : call.last] += visible(call)
        assert call.own or not any(later.own for later in calls[number:])  # merging starts from a block's own output
    assert torch.equal(times, plan.mask.long())


@settings(max_examples=40, deadline=None)
@given(forests(), st.sampled_from(LIMITS), st.sampled_from([(1, 1), (4, 2), (6, 1)]), st.data())
def test_any_forest_cut_anywhere(
    end: Tensor, limits: tuple[int, int], heads: tuple[int, int], data: st.DataObject
) -> None:
    q_offset = data.draw(st.integers(0, len(end) - 1))
    generator = torch.Generator().manual_seed(len(end))
    shapes = [(len(end) - q_offset, heads[0]), (len(end), heads[1]), (len(end), heads[1])]
    q, k, v = (torch.randn(*s, 8, generator=generator, dtype=torch.float64, requires_grad=True) for s in shapes)
    with pytest.MonkeyPatch.context() as patch:
        limited(patch, limits)
        got = tree_attention(q, k, v, end, q_offset=q_offset, backend="segments")
        upstream = torch.randn_like(got)
        ours = torch.autograd.grad(got, (q, k, v), upstream)
    expected = by_path(q, k, v, end, q_offset)
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    for a, b in zip(ours, torch.autograd.grad(expected, (q, k, v), upstream)):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-11)


def test_small_branches_share_a_call_and_large_ones_do_not() -> None:
    small = make_plan(forest([0] * 3 + [1] * 20), 23).calls  # a stem and twenty branches of one token
    assert [(call.start, call.stop) for call in small] == [(0, 23)]
    large = make_plan(forest([0] * 900 + [300] + [0] * 299 + [300] + [0] * 599), 1800).calls
    assert [(c.start, c.stop, c.first, c.last) for c in large] == [
        (0, 600, 0, 600), (600, 900, 600, 900), (900, 1200, 900, 1200), (1200, 1800, 1200, 1800), (600, 1800, 0, 600)
    ]  # fmt: skip


def test_nothing_is_gathered() -> None:
    """What waits for the backward pass does not grow with the branches: the calls read slices of the row."""
    q, k, v = (torch.randn(len(COMB), 2, 8, requires_grad=True) for _ in range(3))
    tree_attention(q, k, v, COMB, backend="segments")  # the first use is checked
    saved: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: saved.append(x.numel()) or x, lambda x: x):
        tree_attention(q, k, v, COMB, backend="segments")
    assert sum(saved) == 4 * q.numel() + 2 * len(COMB)  # q, k, v, outputs, log-sum-exps
