"""Attention of one-token steps on a CPU: the query heads of a group side by side, padding as a bias.

In: a loaded transformers model. Out: the same model; its steps of one token go through the kernel of `sdpa` in the form
that a CPU runs fastest (32 rows: half the time and less). Everything else, prompts above all, is `sdpa`'s as it was.
Models that have another attention than `sdpa` keep it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from katcore.engine.embedded.library import (
    AttentionInterface,
    AttentionMaskInterface,
    causal_mask_function,
    sdpa_attention_forward,
    sdpa_mask,
)

_NAME = "kat_one_token"


def prepare(network: Any) -> None:
    """Give a model on a CPU this attention in place of `sdpa`."""
    if network.config._attn_implementation != "sdpa" or network.device.type != "cpu":
        return
    AttentionInterface.register(_NAME, _attend)
    AttentionMaskInterface.register(_NAME, _mask)
    network.set_attn_implementation(_NAME)


def _mask(batch_size: int, q_length: int, kv_length: int, **options: Any) -> Tensor | None:
    """For one token a bias [B, 1, 1, L], 0 where it may look and minus infinity elsewhere; else what `sdpa` takes."""
    seen: Tensor | None = options.get("attention_mask")  # [B, L]: where there are tokens
    if q_length == 1 and options.get("mask_function") is causal_mask_function:
        return None if seen is None else _bias(seen[:, None, None], options)
    mask: Tensor | None = sdpa_mask(batch_size, q_length, kv_length, **options)
    return mask if mask is None or q_length > 1 else _bias(mask, options)


def _bias(visible: Tensor, options: dict[str, Any]) -> Tensor:
    return torch.zeros_like(visible, dtype=options["dtype"]).masked_fill_(~visible.bool(), float("-inf"))


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Attention of query [B, H, q, D] over key and value [B, G, L, D], each of G for H / G heads: [B, q, H, D]."""
    batch, heads, length, size = query.shape
    if length != 1 or options.get("position_bias") is not None:
        attended, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **options)
        return attended, None
    grouped = query.view(batch, key.shape[1], heads // key.shape[1], size)
    out = scaled_dot_product_attention(grouped, key, value, attn_mask=attention_mask, scale=options.get("scaling"))
    return out.reshape(batch, 1, heads, value.shape[-1]), None
