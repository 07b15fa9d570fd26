"""What the engine takes of transformers, imported without what only compilers need of torch."""

# ruff: noqa: E402
from katcore.model.deferred import defer

defer()

from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import causal_mask_function, sdpa_mask

__all__ = [
    "AttentionInterface",
    "AttentionMaskInterface",
    "Cache",
    "DynamicLayer",
    "causal_mask_function",
    "sdpa_attention_forward",
    "sdpa_mask",
]
