"""A model made by `init`, for the tests that need a folder; and models that compute in fp64 throughout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from katcore.train.options import InitOptions


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model made by `init`, as small as it gets."""
    from katcore.train.init import init

    folder = tmp_path_factory.mktemp("model") / "M"
    init(folder, InitOptions(layers=2, hidden=32, heads=4, kv_heads=2))
    return folder


@pytest.fixture
def model_in_fp64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transformers' norms, rotary positions and routers are computed in fp32, where 1e-10 would say nothing."""
    from transformers.models.qwen3 import modeling_qwen3
    from transformers.models.qwen3_moe import modeling_qwen3_moe

    def norm(self: Any, x: Tensor) -> Tensor:
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon)

    def rotary(self: Any, x: Tensor, position_ids: Tensor) -> tuple[Tensor, Tensor]:
        freqs = position_ids[..., None].double() * self.inv_freq.double()
        both = torch.cat((freqs, freqs), -1)
        return both.cos(), both.sin()

    def router(self: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits = x.reshape(-1, self.hidden_dim) @ self.weight.T
        value, chosen = logits.softmax(-1).topk(self.top_k)
        return logits, value / value.sum(-1, keepdim=True) if self.norm_topk_prob else value, chosen

    monkeypatch.setattr(modeling_qwen3_moe.Qwen3MoeTopKRouter, "forward", router)
    for family, name in ((modeling_qwen3, "Qwen3"), (modeling_qwen3_moe, "Qwen3Moe")):
        monkeypatch.setattr(getattr(family, f"{name}RMSNorm"), "forward", norm)
        monkeypatch.setattr(getattr(family, f"{name}RotaryEmbedding"), "forward", rotary)
