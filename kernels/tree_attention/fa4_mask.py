"""The mask of one pair for `fa4.py`, compiled into FlashAttention-4's kernels. Importing it needs flash-attn-4.

Arguments are one-element register vectors: batch, head, query and key (both counted from 0 within the tensors); then
the lengths, and the aux tensors that `fa4.aux_tensors` makes. Queries end where keys end, so their offset is the
difference of the lengths. No annotations: the compiler reads the source of these functions.
"""

import cutlass
import cutlass.cute as cute
from flash_attn.cute.utils import scalar_to_ssa


@cute.jit
def interval_mask(batch, head, query, key, lengths, aux):  # type: ignore[no-untyped-def]
    """j <= i < end[j]; aux: end by key."""
    i = query + scalar_to_ssa(lengths.seqlen_k - lengths.seqlen_q, cutlass.Int32)
    end = scalar_to_ssa(aux[0][key[0]], cutlass.Int32)
    return (key <= i) & (i < end)


@cute.jit
def windowed_mask(batch, head, query, key, lengths, aux):  # type: ignore[no-untyped-def]
    """j <= i < end[j] and depth[i] < depth[j] + window; aux: end by key, depth + window by key, depth by query."""
    i = query + scalar_to_ssa(lengths.seqlen_k - lengths.seqlen_q, cutlass.Int32)
    end = scalar_to_ssa(aux[0][key[0]], cutlass.Int32)
    reach = scalar_to_ssa(aux[1][key[0]], cutlass.Int32)
    depth = scalar_to_ssa(aux[2][query[0]], cutlass.Int32)
    return (key <= i) & (i < end) & (depth < reach)
