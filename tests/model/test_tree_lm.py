"""What runs over a tree, and what is refused by name before a step is taken."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from katcore.errors import UsageError
from katcore.model import tree_lm
from katcore.model.tree_lm import TreeLM

SIZES: dict[str, Any] = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
}


def qwen3(**changes: Any) -> Any:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    return Qwen3ForCausalLM(Qwen3Config(**(SIZES | changes)))


def test_a_model_agrees_with_itself_and_still_runs_without_a_tree() -> None:
    lm = TreeLM(qwen3())
    ids = torch.arange(9)
    chain = tree_lm.Forest(ids, ids - 1, ids, torch.full((9,), 9))
    with torch.no_grad():
        got, entropy = lm.logprobs(chain, ids[1:])
        torch.testing.assert_close(got, lm.linear_logprobs(ids), atol=1e-5, rtol=1e-5)
    assert bool((entropy > 0).all())


def test_qwen3_moe_runs_over_a_tree() -> None:
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM

    sizes = SIZES | {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    torch.manual_seed(0)
    TreeLM(Qwen3MoeForCausalLM(Qwen3MoeConfig(**sizes)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"layer_types": ["full_attention", "chunked_attention"]}, "chunked_attention layers"),
        ({"attention_dropout": 0.1}, "attention_dropout is not 0"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
            "rotary positions by the sequence length",
        ),
    ],
)
def test_configurations_that_a_tree_cannot_express(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=f"qwen3 is not supported.*{reason}"):
        TreeLM(qwen3(**changes))


def test_models_without_replaceable_attention() -> None:
    from transformers import MambaConfig, MambaForCausalLM

    with pytest.raises(UsageError, match="mamba is not supported"):
        TreeLM(MambaForCausalLM(MambaConfig(vocab_size=32, hidden_size=16, num_hidden_layers=1, state_size=4)))


def test_windowed_models_run_over_a_tree() -> None:
    """With a window shorter than the paths of the start-up check: a window over flat indices would be noticed."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    TreeLM(MistralForCausalLM(MistralConfig(**SIZES, sliding_window=2)))
    TreeLM(qwen3(use_sliding_window=True, sliding_window=2, max_window_layers=1))


def test_attention_that_sees_a_sibling_is_noticed_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tree_lm.tree_attention

    def leaking(q: Any, k: Any, v: Any, end: Any, **kwargs: Any) -> Any:
        return right(q, k, v, torch.full_like(end, len(end)), scale=kwargs["scale"], backend="reference")

    monkeypatch.setattr(tree_lm, "tree_attention", leaking)
    with pytest.raises(UsageError, match="differ"):
        TreeLM(qwen3(initializer_range=0.5))


def test_a_head_that_does_more_than_a_product_is_noticed_at_start() -> None:
    model = qwen3(initializer_range=0.5)
    model.lm_head.register_forward_hook(lambda module, args, logits: logits.tanh())
    with pytest.raises(UsageError, match="differ"):
        TreeLM(model)
