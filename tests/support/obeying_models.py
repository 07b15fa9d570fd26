"""Tiny random models of each family: they write noise, or what a grammar makes of it, and end what they begin."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, Qwen3Config

from katcore.model.folder import ChatModel
from tests.support.family_templates import family
from tests.support.tiny_models import SIZE

LIKED = ("</think>", '"', "<|im_end|>")
"""Tokens that end a thought, a string and a turn: the model likes them everywhere."""


def obeying(name: str, folder: Path, seed: int = 0) -> ChatModel:
    """A model folder of that family with random weights."""
    chat = family(name, folder)
    config = Qwen3Config(
        **SIZE | {"vocab_size": len(chat.tokenizer), "max_position_embeddings": 8192, "initializer_range": 0.05},
        head_dim=8,
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # one part of the hidden state is always the same, and the liked tokens are read off it
        model.model.embed_tokens.weight[:, 0] = 1.0
        model.lm_head.weight[:, 0] = 0.0
        for token in (*(chat.tokenizer.id(each) for each in LIKED), *chat.stop_ids):
            if token is not None:
                model.lm_head.weight[token, 0] = 1.2
    model.save_pretrained(folder, safe_serialization=True)
    return chat
