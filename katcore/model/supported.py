"""Which models run over a tree, and why another does not, by name.

In: a transformers config, or a loaded causal LM. Out: nothing, or UsageError with model type, feature and reason. A
config tells most of it before any weight is read. What no name tells is found by the trial at the start (`TreeLM`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from katcore.errors import UsageError

LAYERS = {"full_attention", "sliding_attention"}
"""Kinds of layers that run over a tree."""
_STATE = "a state that runs through all tokens in order cannot part where a tree forks"
_PICKED = "their keys are picked by another rule than the path"
WHY = {
    "linear_attention": f"linear attention or a state space: {_STATE}",
    "hybrid": f"attention beside a state space: {_STATE}",
    "hybrid_sliding": f"attention beside a state space: {_STATE}",
    "conv": "convolutions mix neighbours of the row where a tree wants those of the path",
    "chunked_attention": f"attention within chunks: {_PICKED}",
    "indexed_attention": f"sparse attention: {_PICKED}",
    "compressed_sparse_attention": f"sparse attention: {_PICKED}",
    "heavily_compressed_attention": f"sparse attention: {_PICKED}",
    "minimax_m3_sparse": f"sparse attention: {_PICKED}",
}
"""Why layers of a kind do not, for people."""
_WITHOUT_ATTENTION = {"mlp", "moe", "dense", "sparse"}
_CAPS = ("attn_logit_softcapping", "final_logit_softcapping")
_SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier")


def refuse_unsupported(model: Any) -> None:
    """UsageError, naming model type and reasons, for what a tree mask and explicit positions cannot express."""
    _refuse(model.config, [*_of_config(model.config), *_of_model(model)])


def refuse_config(config: Any) -> None:
    """The same as far as a config says, before the weights are read."""
    _refuse(config, list(_of_config(config)))


def _refuse(config: Any, reasons: list[str]) -> None:
    if reasons:
        raise UsageError(f"{config.model_type} is not supported: it {'; it '.join(reasons)}")


def _of_config(whole: Any) -> Iterator[str]:
    config = whole.get_text_config()
    if getattr(whole, "is_encoder_decoder", False):
        yield "is an encoder-decoder (a tree is one stream of tokens)"
    others = sorted(_kinds(config) - LAYERS)
    for kind in [kind for kind in others if kind not in _WITHOUT_ATTENTION] or others:
        yield f"has {kind} layers ({WHY.get(kind, 'tree attention has none of the kind')})"
    yield from _latent(config)
    if caps := [name for name in _CAPS if getattr(config, name, None)]:
        yield f"caps its logits (tree attention and its output head have no {' and no '.join(caps)})"
    if scales := [name for name in _SCALES if getattr(config, name, None) not in (None, 1)]:
        yield f"scales its logits (the output head over trees has no {' and no '.join(scales)})"
    dropouts = [k for k, v in config.to_dict().items() if k.endswith(("dropout", "_pdrop", "jitter_noise")) and v]
    if dropouts:
        names = " and ".join(f"{name} is not 0" for name in sorted(dropouts))
        yield f"draws at random in training ({names})"
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope in ("dynamic", "longrope"):
        yield f"scales its rotary positions by the sequence length ({rope}; a tree has many lengths)"


def _kinds(config: Any) -> set[str]:
    return set(getattr(config, "layer_types", None) or [])


def _latent(config: Any) -> Iterator[str]:
    """Latent attention (MLA) may give keys and values heads of other sizes."""
    value = getattr(config, "v_head_dim", None)
    key = sum(getattr(config, f"qk_{part}_head_dim", None) or 0 for part in ("nope", "rope"))
    if getattr(config, "kv_lora_rank", None) and value and key and key != value:
        yield f"has latent attention (MLA: keys of {key}, values of {value} a head; tree attention takes one size)"


def _of_model(model: Any) -> Iterator[str]:
    """What only the loaded model says."""
    kinds = _kinds(model.config.get_text_config())
    if getattr(model, "_is_stateful", False) and not kinds & WHY.keys():
        yield f"keeps a recurrent state ({_STATE})"
    elif not getattr(model, "_supports_attention_backend", False) and kinds <= LAYERS:
        yield "does not let its attention be replaced (its code calls its own)"
    if any(name.rsplit(".", 1)[-1] == "sinks" for name, _ in model.named_parameters()):
        yield "has attention sinks (a learned weight in every softmax, which tree attention does not add)"
    if getattr(model.get_output_embeddings(), "bias", None) is not None:
        yield "has a bias on its output embedding (the output head over trees adds none)"
