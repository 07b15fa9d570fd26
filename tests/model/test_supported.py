"""Models that do not run over a tree are refused by model type, feature and reason, most before a weight is read."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from transformers import AutoModelForCausalLM

from katcore.errors import InputError, UsageError
from katcore.model import tree_lm
from katcore.model.supported import refuse_config, refuse_unsupported
from katcore.model.tree_lm import TreeLM

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
}
STATE = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
MAMBA2 = {"mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 4, "mamba_n_groups": 1}
LINEAR = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "layer_types": ["linear_attention", "full_attention"],
}
EXPERTS = {"num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 16}
MLA = SIZES | {
    "num_key_value_heads": 4,
    "q_lora_rank": 8,
    "kv_lora_rank": 8,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
DEEPSEEK = MLA | {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
    "n_group": 1,
    "topk_group": 1,
}
LATENT = r"latent attention \(MLA: keys of 12, values of 8 a head; tree attention takes one size\)"
RECURRENT = "a state that runs through all tokens in order cannot part where a tree forks"
WITH_STATE = rf"has linear_attention layers \(linear attention or a state space: {RECURRENT}\)"

KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "DeepseekV2": (DEEPSEEK, LATENT),
    "DeepseekV3": (DEEPSEEK, LATENT),
    "DeepseekV32": (
        DEEPSEEK | {"index_topk": 4, "index_n_heads": 2, "index_head_dim": 8}, r"has indexed_attention layers.*\(MLA",
    ),
    "LongcatFlash": (MLA, LATENT),
    "MiniCPM3": (MLA, LATENT),
    "GptOss": (
        SIZES | {"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8,
                 "rope_parameters": {"rope_type": "default", "rope_theta": 1e4}},
        "has attention sinks",
    ),
    "Mamba": (STATE, WITH_STATE),
    "Mamba2": (STATE | {"num_heads": 4, "head_dim": 16, "n_groups": 1}, WITH_STATE),
    "FalconMamba": (STATE, WITH_STATE),
    "Jamba": (
        SIZES | {"num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 4,
                 "mamba_dt_rank": 4, "use_mamba_kernels": False},
        WITH_STATE,
    ),
    "Bamba": (SIZES | MAMBA2 | {"attn_layer_indices": [1]}, WITH_STATE),
    "FalconH1": (SIZES, "has hybrid layers .*attention beside a state space"),
    "Qwen3Next": (SIZES | LINEAR | EXPERTS | {"head_dim": 8, "shared_expert_intermediate_size": 16}, WITH_STATE),
    "Qwen3_5Text": (SIZES | LINEAR | {"head_dim": 8}, WITH_STATE),
    "MiniMax": (
        SIZES | {"head_dim": 8, "layer_types": ["linear_attention", "full_attention"], "num_local_experts": 2,
                 "num_experts_per_tok": 1},
        WITH_STATE,
    ),
    "RecurrentGemma": (SIZES | {"lru_width": 32}, WITH_STATE),
    "Rwkv": (
        {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2}, rf"keeps a recurrent state \({RECURRENT}\)",
    ),
    "Lfm2": (SIZES | {"layer_types": ["conv", "full_attention"]}, r"has conv layers \(convolutions mix neighbours"),
    "Llama4Text": (
        SIZES | {"head_dim": 8, "num_local_experts": 2, "interleave_moe_layer_step": 1},
        r"has chunked_attention layers \(attention within chunks",
    ),
    "Gemma2": (SIZES | {"head_dim": 8}, "caps its logits .*attn_logit_softcapping and no final_logit_softcapping"),
    "Cohere": (SIZES, r"scales its logits .*no logit_scale\)"),
    "GPT2": ({"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4}, r"\(attn_pdrop is not 0 and"),
    "Bloom": (
        {"vocab_size": 64, "hidden_size": 32, "n_layer": 2, "n_head": 4}, "does not let its attention be replaced",
    ),
}  # fmt: skip
ONLY_LOADED = {"GptOss", "Rwkv", "Bloom"}
"""What no config says."""


def config(kind: str) -> Any:
    return getattr(transformers, f"{kind}Config")(**KINDS[kind][0])


def model(made: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(made).eval()


@pytest.mark.parametrize("kind", KINDS)
def test_refused_by_name(kind: str) -> None:
    made = config(kind)
    with pytest.raises(UsageError, match=f"^{made.model_type} is not supported: it .*{KINDS[kind][1]}") as refused:
        refuse_unsupported(model(made))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("kind", sorted(KINDS.keys() - ONLY_LOADED))
def test_refused_before_a_weight_is_read(kind: str, tmp_path: Path) -> None:
    config(kind).save_pretrained(tmp_path)
    with pytest.raises(UsageError, match=KINDS[kind][1]):
        TreeLM.load(tmp_path)


@pytest.mark.parametrize("kind", sorted(ONLY_LOADED))
def test_what_only_a_loaded_model_says(kind: str) -> None:
    refuse_config(config(kind))
    with pytest.raises(UsageError, match=KINDS[kind][1]):
        TreeLM(model(config(kind)))


def test_latent_attention_of_one_head_size_runs() -> None:
    """As GLM-4.7-Flash has it: nothing but the sizes is in the way."""
    TreeLM(model(transformers.DeepseekV3Config(**DEEPSEEK | {"v_head_dim": 12})))


def test_caps_and_scales_of_one_are_none() -> None:
    TreeLM(model(transformers.Gemma3TextConfig(**SIZES, head_dim=8)))
    TreeLM(model(transformers.CohereConfig(**SIZES, logit_scale=1.0)))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("q (7, 4, 12), k (7, 4, 12), v (7, 4, 8): want others\nand more"), r"q \(7, 4, 12\).*others"),
        (NotImplementedError(), "NotImplementedError"),
        (LookupError("\n"), "LookupError"),
    ],
    ids=["lines", "nothing", "blank"],
)
def test_what_fails_in_the_models_own_code_is_named(
    monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    def fails(*args: Any, **kwargs: Any) -> Any:
        raise error

    monkeypatch.setattr(tree_lm, "tree_attention", fails)
    with pytest.raises(UsageError, match=rf"^llama does not run over a tree: {said}$"):
        TreeLM(model(transformers.LlamaConfig(**SIZES)))


def test_a_model_type_that_nobody_knows_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "never_heard_of_it"}')
    with pytest.raises(InputError, match=r"cannot load the model: .*never_heard_of_it"):
        TreeLM.load(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["DeepseekV3", "GptOss"])
def test_the_command_says_so_in_one_line(kind: str, tmp_path: Path) -> None:
    made = config(kind)
    model(made).save_pretrained(tmp_path / "M")
    (tmp_path / "packs.jsonl").write_text("")
    done = subprocess.run(
        ["kat-train", "packs.jsonl", "--model", "M", "--out", "out"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"kat-train: {made.model_type} is not supported: it has ")
