"""Configs of tiny causal LMs, one for each family that the embedded engine is tested on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import BloomConfig, GPT2Config, LlamaConfig, MistralConfig, PreTrainedConfig, Qwen3Config

SIZE: dict[str, Any] = {
    "vocab_size": 4096,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
}
GPT2 = {"vocab_size": 4096, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "initializer_range": 0.2}
CONFIGS: dict[str, PreTrainedConfig] = {
    "qwen3": Qwen3Config(**SIZE, head_dim=8, tie_word_embeddings=True),
    "llama": LlamaConfig(**SIZE),
    "mistral-window": MistralConfig(**SIZE, sliding_window=8),
    "gpt2": GPT2Config(**GPT2, bos_token_id=1, eos_token_id=2),
    "bloom": BloomConfig(
        vocab_size=4096, hidden_size=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2, initializer_range=0.2
    ),
}

Folder = Callable[..., Path]
Logprobs = Callable[[Path, list[int], int, float], list[float]]
