"""New small models: the same bytes for the same seed, and folders that transformers loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from katcore.errors import InputError, UsageError
from katcore.model.folder import load
from katcore.train.init import init
from katcore.train.options import InitOptions

TINY = InitOptions(layers=1, hidden=16, heads=2, kv_heads=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        init(tmp_path / name, TINY, seed=seed)
    a, b, c = (contents(tmp_path / name) for name in "abc")
    assert a == b
    assert {name for name in a if a[name] != c[name]} == {"model.safetensors"}


def test_transformers_loads_it_and_the_tokenizer_is_kats(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    parameters = init(tmp_path, TINY)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    assert model.num_parameters() == parameters
    assert model.config.tie_word_embeddings and model.config.max_position_embeddings == 8192
    assert load(tmp_path).digest == load(None).digest
    text = "def f(x):\n    return x\n"
    assert tokenizer(text).input_ids == load(None).encode(text)
    assert model.generation_config.eos_token_id == load(None).turn_end


def test_a_tokenizer_of_ones_own_text(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("the quick brown fox jumps over the lazy dog\n" * 50)
    init(tmp_path / "M", replace(TINY, text=(text,), vocab=300))
    assert len(load(tmp_path / "M").tokenizer) == json.loads((tmp_path / "M/config.json").read_text())["vocab_size"]
    assert len(load(tmp_path / "M").encode(" quick brown")) <= 4


def test_a_config_file_wins_over_sizes(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"num_hidden_layers": 3, "rope_parameters": {"rope_theta": 1e6}}))
    init(tmp_path / "M", replace(TINY, model_config=tmp_path / "c.json"))
    made = json.loads((tmp_path / "M/config.json").read_text())
    assert (made["num_hidden_layers"], made["hidden_size"], made["rope_parameters"]["rope_theta"]) == (3, 16, 1e6)


def test_what_is_refused(tmp_path: Path) -> None:
    init(tmp_path / "M", TINY)
    with pytest.raises(UsageError, match="holds a model"):
        init(tmp_path / "M", TINY)
    with pytest.raises(UsageError, match="kv-heads"):
        InitOptions(heads=4, kv_heads=3)
    (tmp_path / "c.json").write_text('{"model_type": "llama"}')
    with pytest.raises(InputError, match="llama"):
        init(tmp_path / "N", replace(TINY, model_config=tmp_path / "c.json"))
    (tmp_path / "c.json").write_text('{"vocab_size": 10}')
    with pytest.raises(InputError, match="smaller than the tokenizer"):
        init(tmp_path / "N", replace(TINY, model_config=tmp_path / "c.json"))
