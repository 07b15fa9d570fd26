"""FlexAttention with our tile lists: the mask it is given, and its forward on a CPU (torch has no backward there)."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from katcore.errors import KatError
from katkernels.tree_attention import make_plan, tree_attention
from katkernels.tree_attention.check import check_plan
from katkernels.tree_attention.flex import TILE, block_mask
from tests.support.forests import by_path, depths, forest

CPU = torch.device("cpu")
END = forest([0] * 40 + [9] + [0] * 30 + [55] + [0] * 20)


@pytest.mark.parametrize("windowed", [False, True])
def test_the_lists_agree_with_those_that_torch_finds_by_trying_every_pair(windowed: bool) -> None:
    plan = check_plan(CPU, windowed)
    ours = block_mask(plan)
    theirs = create_block_mask(ours.mask_mod, 1, 1, plan.queries, plan.keys, device="cpu", BLOCK_SIZE=TILE)
    assert ours.shape == theirs.shape and ours.BLOCK_SIZE == theirs.BLOCK_SIZE
    seen, needed = ours.to_dense().bool(), theirs.to_dense().bool()  # tiles that are computed
    assert not (needed & ~seen).any()
    assert windowed or torch.equal(seen, needed)  # a window is bounded by least and greatest depth
    assert ours.full_kv_num_blocks is not None and theirs.full_kv_num_blocks is not None
    assert (ours.full_kv_num_blocks <= theirs.full_kv_num_blocks).all()
    assert ours.q_indices is not None and theirs.q_indices is not None
    assert ours.q_indices.shape == theirs.q_indices.shape and ours.kv_indices.shape == theirs.kv_indices.shape


@pytest.mark.parametrize("window", [None, 11])
@pytest.mark.parametrize("q_offset", [0, 37])
def test_the_mask_is_that_of_the_tree(q_offset: int, window: int | None) -> None:
    plan = make_plan(END, len(END) - q_offset, q_offset, depths(END), window)
    q, k, v = (torch.randn(n, h, 16) for n, h in ((plan.queries, 4), (len(END), 2), (len(END), 2)))
    batched = [x.transpose(0, 1)[None] for x in (q, k, v)]
    out = flex_attention(*batched, block_mask=block_mask(plan), enable_gqa=True)[0].transpose(0, 1)
    torch.testing.assert_close(out, by_path(q, k, v, END, q_offset, window), rtol=0, atol=2e-6)


def test_training_on_a_cpu_is_refused() -> None:
    q = torch.randn(3, 1, 64)
    with pytest.raises(KatError, match="no gradient of FlexAttention on a CPU"):
        tree_attention(q, q, q, torch.full((3,), 3), backend="flex")
