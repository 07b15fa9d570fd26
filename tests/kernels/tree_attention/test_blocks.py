"""Tile lists against the definition of the mask, pair by pair; the kernel's lists against torch's; what fa4 gets."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.support.forests import CHAIN, COMB, ROOTS, STARS, depths, forest, forests, paths

if not torch.cuda.is_available():  # read when the kernels are first imported, inside the tests
    os.environ["TRITON_INTERPRET"] = "1"

from katkernels.tree_attention import classify, make_plan
from katkernels.tree_attention.check import OFFSET, check_plan
from katkernels.tree_attention.tiles import Blocks, TileList

SHAPES = [CHAIN, STARS, COMB, ROOTS, forest([0]), forest([0] * 40 + [9] + [0] * 30 + [55] + [0] * 20)]


def sees(end: Tensor, window: int | None) -> list[set[int]]:
    """The keys that each token sees, from its path."""
    return [set(path if window is None else path[-window:]) for path in paths(end)]


def tiles(rows: TileList) -> set[tuple[int, int]]:
    """The pairs (row, column) of a list; ascending within a row, zeros behind."""
    found = set()
    for r, (count, index) in enumerate(zip(rows.count.tolist(), rows.index.tolist())):
        assert index[:count] == sorted(set(index[:count])) and not any(index[count:])
        found |= {(r, c) for c in index[:count]}
    return found


def assert_sound(blocks: Blocks, end: Tensor, q_offset: int, queries: int, window: int | None) -> None:
    """No visible pair in a skipped tile, no hidden one in a full tile, and each tile on one list, from both sides."""
    partial, full = tiles(blocks.partial), tiles(blocks.full)
    assert {(q, k) for k, q in tiles(blocks.partial_by_key)} == partial
    assert {(q, k) for k, q in tiles(blocks.full_by_key)} == full
    assert not partial & full
    seen = sees(end, window)
    for m in range(-(-queries // blocks.tile_q)):
        for n in range(-(-len(end) // blocks.tile_k)):
            keys = range(n * blocks.tile_k, (n + 1) * blocks.tile_k)
            rows = range(m * blocks.tile_q, min((m + 1) * blocks.tile_q, queries))
            visible = [len(seen[q_offset + row] & set(keys)) for row in rows]
            if any(visible):
                assert (m, n) in partial | full
            if (m, n) in full:
                assert all(count == blocks.tile_k for count in visible)
            elif all(count == blocks.tile_k for count in visible) and window is None:
                raise AssertionError(f"tile {m}, {n} is full and not on the list")


cases = given(forests(most=70), st.data())


@settings(max_examples=60, deadline=None)
@cases
def test_lists_are_sound_for_any_forest(end: Tensor, data: st.DataObject) -> None:
    q_offset = data.draw(st.integers(0, len(end) - 1))
    queries = data.draw(st.integers(1, len(end) - q_offset))
    tile_q, tile_k = data.draw(st.sampled_from([(4, 4), (8, 4), (4, 16), (64, 64)]))
    window = data.draw(st.none() | st.integers(1, 20))
    blocks = classify(
        end, queries, q_offset, tile_q=tile_q, tile_k=tile_k, depth=depths(end) if window else None, window=window
    )
    assert blocks.partial.index.shape == blocks.full.index.shape == (-(-queries // tile_q), -(-len(end) // tile_k))
    assert_sound(blocks, end, q_offset, queries, window)


# Key 3's subtree ends with the last query of a tile of 4, or one before it, or after.
EDGES = [forest([0] * 7 + [4] + [0] * 4), forest([0] * 6 + [3, 0] + [0] * 4), forest([0] * 8 + [5] + [0] * 3)]


@pytest.mark.parametrize("window", [None, 5])
@pytest.mark.parametrize("q_offset", range(8))
def test_lists_are_sound_at_the_edges_of_tiles(q_offset: int, window: int | None) -> None:
    for end in [CHAIN, *EDGES]:
        for tile_q, tile_k in ((4, 4), (2, 4), (4, 2)):
            blocks = classify(
                end, len(end) - q_offset, q_offset, tile_q=tile_q, tile_k=tile_k, depth=depths(end), window=window
            )
            assert_sound(blocks, end, q_offset, len(end) - q_offset, window)


def test_a_tile_is_skipped_exactly_when_nothing_is_seen_off_the_diagonal() -> None:
    # Without a window min and max of `end` decide exactly, but for tiles that the diagonal crosses.
    for end in SHAPES:
        blocks = classify(end, len(end), tile_q=4, tile_k=4)
        seen = sees(end, None)
        for m, n in tiles(blocks.partial):
            rows, keys = range(4 * m, min(4 * m + 4, len(end))), set(range(4 * n, 4 * n + 4))
            assert m == n or any(seen[i] & keys for i in rows)


def test_the_lists_of_a_chain() -> None:
    blocks = classify(torch.full((16,), 16), 16, tile_q=4, tile_k=4)
    assert tiles(blocks.full) == {(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)}
    assert tiles(blocks.partial) == {(0, 0), (1, 1), (2, 2), (3, 3)}
    assert blocks.pairs == 10 * 16


def test_a_window_drops_far_tiles_and_masks_the_rest() -> None:
    blocks = classify(torch.full((16,), 16), 16, tile_q=4, tile_k=4, depth=torch.arange(16), window=8)
    assert tiles(blocks.full) == {(1, 0), (2, 1), (3, 2)}  # 7 tokens apart at most
    assert tiles(blocks.partial) == {(0, 0), (1, 1), (2, 0), (2, 2), (3, 1), (3, 3)}


@settings(max_examples=10, deadline=None)
@cases
def test_the_kernel_makes_the_same_lists(end: Tensor, data: st.DataObject) -> None:
    from katkernels.tree_attention import block_kernel

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    end, depth = end.to(device), depths(end).to(device)
    q_offset = data.draw(st.integers(0, len(end) - 1))
    queries = data.draw(st.integers(1, len(end) - q_offset))
    tile_q, tile_k = data.draw(st.sampled_from([(4, 4), (8, 4), (4, 16), (64, 64)]))
    window = data.draw(st.none() | st.integers(1, 20))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_kernel, "STEP", data.draw(st.sampled_from([4, 128])))  # rows in one step and in several
        assert_kernel_agrees(end, queries, q_offset, tile_q, tile_k, depth, window)


@pytest.mark.parametrize("q_offset", [0, 3, 4, 5])
def test_the_kernel_makes_the_same_lists_at_the_edges_of_tiles(q_offset: int) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    for end, window in [(CHAIN, None), (CHAIN, 9), *((end, None) for end in EDGES)]:
        depth = depths(end).to(device)
        assert_kernel_agrees(end.to(device), len(end) - q_offset, q_offset, 4, 4, depth, window)


def assert_kernel_agrees(
    end: Tensor, queries: int, q_offset: int, tile_q: int, tile_k: int, depth: Tensor, window: int | None
) -> None:
    from katkernels.tree_attention import block_kernel
    from katkernels.tree_attention.blocks import classify_in_torch

    got = block_kernel.classify_on_gpu(end, queries, q_offset, tile_q, tile_k, depth, window)
    expected = classify_in_torch(end, queries, q_offset, tile_q, tile_k, depth, window)
    for name in ("partial", "full", "partial_by_key", "full_by_key"):
        a, b = getattr(got, name), getattr(expected, name)
        assert torch.equal(a.count, b.count) and torch.equal(a.index, b.index), name


@pytest.mark.parametrize("window", [None, 20])
def test_a_plan_keeps_its_lists(window: int | None) -> None:
    end = SHAPES[-1]
    plan = make_plan(end, len(end), depth=depths(end), window=window)
    assert plan.blocks(16, 16) is plan.blocks(16, 16)
    assert plan.blocks(16, 8).tile_k == 8
    assert_sound(plan.blocks(16, 8), end, 0, len(end), window)


@pytest.mark.parametrize("windowed", [False, True])
def test_the_check_row_has_tiles_of_every_kind(windowed: bool) -> None:
    plan = check_plan(torch.device("cpu"), windowed)
    for size in ((128, 128), (128, 64), (64, 64)):
        blocks = plan.blocks(*size)
        partial, full = int(blocks.partial.count.sum()), int(blocks.full.count.sum())
        assert full > 0 and partial > 0 and partial + full < 0.8 * blocks.partial.index.numel()
    assert plan.queries % 128 and plan.keys % 128 and OFFSET % 64
    assert (
        len({int(x) for x in plan.end[plan.end == torch.arange(plan.keys) + 1]}) > 5
    )  # leaves of one token among them


@pytest.mark.parametrize(("windowed", "head_size"), [(False, 64), (True, 64), (False, 128), (True, 256)])
def test_flash_attention_4_is_given_the_whole_mask(windowed: bool, head_size: int) -> None:
    """Its lists and aux tensors, read as its kernels read them, give the mask back."""
    from katkernels.tree_attention import fa4

    end, depth = (
        x[:700] for x in (check_plan(torch.device("cpu"), True).end, check_plan(torch.device("cpu"), True).depth)
    )
    assert depth is not None
    plan = make_plan(end.clamp(max=700), 400, 131, depth, 300 if windowed else None)
    made = fa4.arguments(plan, head_size, dict)
    tile_q, tile_k = fa4.TILES[head_size]
    last = plan.q_offset + plan.queries
    i = torch.arange(-(-plan.queries // tile_q) * tile_q)[:, None] + (last - plan.queries)
    j = torch.arange(-(-last // tile_k) * tile_k)[None, :]
    aux = made["aux_tensors"]
    assert all(x.dtype == torch.int32 and x.is_contiguous() for x in aux)
    pairs = (j <= i) & (i < aux[0][None, :])  # no index beyond the aux tensors, whatever the tile
    if windowed:
        pairs &= aux[2][:, None] < aux[1][None, :]
    for name, by_key in (("block_sparse_tensors", False), ("block_sparse_tensors_bwd", True)):
        lists = made[name]
        assert lists["block_size"] == (tile_q, tile_k)
        got = torch.zeros_like(pairs)
        for kind, seen in (("mask", pairs), ("full", torch.ones_like(pairs))):
            count, index = lists[f"{kind}_block_cnt"], lists[f"{kind}_block_idx"]
            assert count.shape[:2] == index.shape[:2] == (1, 1) and count.dtype == index.dtype == torch.int32
            for r, c in tiles(TileList(count[0, 0], index[0, 0])):
                m, n = (c, r) if by_key else (r, c)
                at = slice(m * tile_q, (m + 1) * tile_q), slice(n * tile_k, (n + 1) * tile_k)
                got[at] = seen[at]
        assert torch.equal(got[: plan.queries, :last], plan.mask[:, :last])
