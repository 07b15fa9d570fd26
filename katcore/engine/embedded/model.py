"""The transformers model behind the embedded engine: loading, checking, one forward.

In: a model folder. Out: next-token logits over a growing cache, log-probs of a prompt's own tokens. Full and
sliding-window attention; models that keep other state (state-space, linear attention) are refused by name. Weights are
`weights.py`'s.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from katcore.engine.embedded import attention
from katcore.engine.embedded.cache import Layers, new_cache
from katcore.engine.embedded.library import Cache
from katcore.errors import InputError
from katcore.model.loading import load_causal_lm
from katcore.model.threads import set_threads

CPU = torch.device("cpu")
_CHUNK = 1024
_SCORED_CHUNK = 128
"""Scoring keeps logits [q, V] in fp32: 128 rows of a 152k vocabulary are 78 MB."""
_ATTENTION = {"full_attention", "sliding_attention"}
_LIMITS = ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length")


@dataclass(frozen=True)
class Prefilled:
    """Logits [V] after the last token, the KV of all, and log-probs of the scored tokens (natural log, T = 1)."""

    logits: Tensor
    layers: Layers
    scores: list[float]


class Model:
    """One loaded causal LM; not thread-safe, the worker owns it."""

    def __init__(self, folder: str, dtype: torch.dtype = torch.float32, device: torch.device = CPU) -> None:
        self.folder = folder
        self.network = _load(folder, dtype).to(device).eval()
        attention.prepare(self.network)
        if device.type == "cpu":
            set_threads(sum(part.numel() for part in self.network.parameters()))
        self.device = device
        config = self.network.config.get_text_config()
        self.layers = int(config.num_hidden_layers)
        self.vocabulary = int(config.vocab_size)
        self.context = next((int(at) for name in _LIMITS if (at := getattr(config, name, None))), 0)
        self.stop_ids = _stop_ids(self.network)
        self._shapes = {name: part.shape for name, part in self.network.state_dict().items()}
        accepted = inspect.signature(self.network.forward).parameters
        self._last_only = "logits_to_keep" in accepted
        self._positions = "position_ids" in accepted
        unknown = set(getattr(config, "layer_types", None) or ()) - _ATTENTION
        if unknown or getattr(self.network, "_is_stateful", False):
            kinds = ", ".join(sorted(unknown)) or "recurrent state"
            raise InputError(f"{folder}: the embedded engine does not run {config.model_type} ({kinds})")

    def forward(self, tokens: Tensor, positions: Tensor, mask: Tensor | None, cache: Cache) -> Tensor:
        """Append tokens [B, q] at positions [B, q] to the cache; the last column's logits [B, V].

        `mask` [B, L + q] is True where the cache and the new columns hold tokens; None: everywhere.
        """
        return self._forward(tokens, positions, mask, cache, last_only=True)[:, -1]

    def prefill(self, tokens: list[int], known: Layers, score_from: int | None = None) -> Prefilled:
        """Read `tokens`, whose first tokens' KV is `known`; with `score_from` every token behind it is scored too.

        `known` must end at `score_from` or before: what is not computed cannot be scored.
        """
        cache = new_cache(self.layers, known)
        start = known[0][0].shape[1] if known else 0
        ids = torch.tensor([tokens], device=self.device)
        positions = torch.arange(len(tokens), device=self.device)[None]
        mask = torch.ones(1, len(tokens), dtype=torch.bool, device=self.device)
        logits, scores = torch.empty(0), []
        while start < len(tokens):
            end = min(start + (_CHUNK if score_from is None else _SCORED_CHUNK), len(tokens))
            span = ids[:, start:end], positions[:, start:end], mask[:, :end]
            logits = self._forward(*span, cache, last_only=score_from is None or end <= score_from)
            if score_from is not None and end > score_from:
                first = max(start, score_from)
                scores += _scores(logits[0, first - start :], ids[0, first + 1 : end + 1])
            start = end
        return Prefilled(logits[0, -1], [(layer.keys[0], layer.values[0]) for layer in cache.layers], scores)

    def _forward(self, tokens: Tensor, positions: Tensor, mask: Tensor | None, cache: Cache, last_only: bool) -> Tensor:
        """Logits [B, 1 or q, V]; models that cannot leave the others out give all."""
        options: dict[str, Any] = {"logits_to_keep": 1} if self._last_only and last_only else {}
        if self._positions:
            options["position_ids"] = positions
        out = self.network(
            tokens,
            attention_mask=None if mask is None else mask.long(),
            past_key_values=cache,
            use_cache=True,
            **options,
        )
        logits: Tensor = out.logits
        return logits

    def successor(self, folder: str) -> Model:
        """The model of another checkpoint of this architecture, in this one's dtype; InputError where it is none."""
        new = Model(folder, self.network.dtype, self.device)
        old, given = self._shapes, new._shapes
        if old != given:
            names = sorted(name for name in old | given if old.get(name) != given.get(name))
            raise InputError(f"{folder}: another architecture than {self.folder} ({names[0]} differs)")
        return new


def _scores(logits: Tensor, following: Tensor) -> list[float]:
    """Log-probs of the tokens [q] or [q - 1] that follow each row of logits [q, V]; the last row's may lie ahead."""
    logprobs = torch.log_softmax(logits[: len(following)].float(), dim=-1)
    found: list[float] = logprobs.gather(1, following[:, None])[:, 0].tolist()
    return found


def _load(folder: str, dtype: torch.dtype) -> Any:
    if not (Path(folder) / "config.json").is_file():
        raise InputError(f"{folder}: no config.json, so no model folder")
    return load_causal_lm(folder, dtype)


def _stop_ids(network: Any) -> tuple[int, ...]:
    ids: list[int] = []
    for config in (network.generation_config, network.config):
        value = getattr(config, "eos_token_id", None)
        ids += [value] if isinstance(value, int) else value or []
    return tuple(dict.fromkeys(ids))
