"""A new small model: a Qwen3 with random weights from a seed, and a tokenizer, in a folder that transformers loads.

The same shape, tokenizer and seed give the same bytes. Meant for demonstrations, tests and small experiments: nothing
here downloads or converts an existing model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from katcore.errors import InputError, UsageError
from katcore.model.files import read_json
from katcore.model.folder import load as load_chat_model
from katcore.model.tokenizer import train_tokenizer
from katcore.train.checkpoint import publish


@dataclass(frozen=True)
class ModelShape:
    """Sizes of the model; 0 takes the usual multiple of the others."""

    layers: int = 2
    hidden: int = 128
    heads: int = 4
    kv_heads: int = 2
    head_size: int = 0
    intermediate: int = 0
    context: int = 8192

    def __post_init__(self) -> None:
        if min(self.layers, self.hidden, self.heads, self.kv_heads, self.context) < 1:
            raise UsageError("layers, hidden, heads, kv-heads and context must be at least 1")
        if self.heads % self.kv_heads:
            raise UsageError(f"{self.heads} heads cannot share {self.kv_heads} kv-heads")
        if not self.head_size and self.hidden % (2 * self.heads):
            raise UsageError(f"hidden {self.hidden} does not divide into {self.heads} heads of an even size")

    def config(self) -> dict[str, Any]:
        """The names that Qwen3Config has for them."""
        return {
            "num_hidden_layers": self.layers,
            "hidden_size": self.hidden,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_size or self.hidden // self.heads,
            "intermediate_size": self.intermediate or 3 * self.hidden,
            "max_position_embeddings": self.context,
            "tie_word_embeddings": True,
        }


def init(
    out: Path,
    shape: ModelShape,
    *,
    config: Path | None = None,
    texts: Sequence[Path] = (),
    vocab: int = 4096,
    seed: int = 0,
) -> int:
    """Write a new model to `out` and return its number of parameters.

    `config` is a JSON object of Qwen3Config's fields, which wins over `shape`. The tokenizer is the small one shipped
    with KAT, or is trained on `texts` with `vocab` entries.
    """
    if any(out.glob("*.safetensors")):
        raise UsageError(f"{out} holds a model already", hint="name another folder")
    table = shape.config() | (_object(config) if config else {})
    parameters = 0

    def write(folder: Path) -> None:
        nonlocal parameters
        if texts:
            train_tokenizer(_read(texts), vocab, folder)
        else:
            load_chat_model(None).save(folder)
        parameters = _write(folder, table, seed)

    publish(out, write)
    return parameters


def _write(out: Path, table: dict[str, Any], seed: int) -> int:
    from transformers import Qwen3Config, Qwen3ForCausalLM
    from transformers.utils import logging

    chat = load_chat_model(out)
    size = table.pop("vocab_size", 0) or len(chat.tokenizer)
    if size < len(chat.tokenizer):
        raise InputError(f"vocab_size {size} is smaller than the tokenizer's {len(chat.tokenizer)} entries")
    pad = chat.tokenizer.id(chat.tokenizer.special.get("pad_token", ""))
    fixed = {"model_type", "architectures", "transformers_version", "dtype", "torch_dtype"}
    kept = {key: value for key, value in table.items() if key not in fixed}
    config = Qwen3Config(**{"eos_token_id": chat.turn_end, "pad_token_id": pad, **kept, "vocab_size": size})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    logging.disable_progress_bar()
    model.save_pretrained(out)
    return sum(p.numel() for p in model.parameters())


def _object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UsageError(f"no such file: {path}")
    table = read_json(path)
    if table.get("model_type", "qwen3") != "qwen3":
        raise InputError(f"{path}: model_type {table['model_type']!r}; kat-train init makes qwen3 models")
    return table


def _read(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        try:
            yield path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as text ({error})") from error
