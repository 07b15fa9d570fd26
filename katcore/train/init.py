"""A new small model: a Qwen3 with random weights from a seed, and a tokenizer, in a folder that transformers loads.

The same shape, tokenizer and seed give the same bytes. Meant for demonstrations, tests and small experiments: nothing
here downloads or converts an existing model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from katcore.errors import InputError, UsageError
from katcore.model.deferred import defer
from katcore.model.files import read_json
from katcore.model.folder import load as load_chat_model
from katcore.model.tokenizer import train_tokenizer
from katcore.train.checkpoint import publish
from katcore.train.options import InitOptions


def init(out: Path, options: InitOptions, seed: int = 0) -> int:
    """Write a new model to `out` and return its number of parameters.

    `--model-config` is a JSON object of Qwen3Config's fields, which win over the sizes. The tokenizer is the small one
    shipped with KAT, or is trained on `--text` with `--vocab` entries.
    """
    if any(out.glob("*.safetensors")):
        raise UsageError(f"{out} holds a model already", hint="name another folder")
    table = _config(options) | (_object(options.model_config) if options.model_config else {})
    parameters = 0

    def write(folder: Path) -> None:
        nonlocal parameters
        if options.text:
            train_tokenizer(_read(options.text), options.vocab, folder)
        else:
            load_chat_model(None).save(folder)
        parameters = _write(folder, table, seed)

    publish(out, write)
    return parameters


def _config(options: InitOptions) -> dict[str, Any]:
    """The sizes by the names that Qwen3Config has for them."""
    return {
        "num_hidden_layers": options.layers,
        "hidden_size": options.hidden,
        "num_attention_heads": options.heads,
        "num_key_value_heads": options.kv_heads,
        "head_dim": options.hidden // options.heads,
        "intermediate_size": 3 * options.hidden,
        "max_position_embeddings": options.context,
        "tie_word_embeddings": True,
    }


def _write(out: Path, table: dict[str, Any], seed: int) -> int:
    defer()
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
