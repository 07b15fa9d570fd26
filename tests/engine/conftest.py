"""Tiny causal LMs, made from a config and a seed and saved as any model folder is; servers over them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import torch
from transformers import AutoModelForCausalLM

from katcore.engine.embedded.server import EmbeddedServer
from katcore.model.folder import load
from tests.support.engine_contract import Bench
from tests.support.tiny_models import CONFIGS, Folder, Logprobs


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """`model_folder(kind, seed=0)`: random weights and KAT's small tokenizer, made once."""
    root = tmp_path_factory.mktemp("models")

    def make(kind: str = "qwen3", seed: int = 0) -> Path:
        folder = root / f"{kind}-{seed}"
        if not folder.exists():
            torch.manual_seed(seed)
            AutoModelForCausalLM.from_config(CONFIGS[kind]).save_pretrained(folder)
            load().save(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def plain_logprobs() -> Logprobs:
    """Log-probs of `tokens[start:]` at a temperature by one plain transformers forward, without cache or batch."""

    def forward(folder: Path, tokens: list[int], start: int, temperature: float = 1.0) -> list[float]:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        with torch.inference_mode():
            logits = model(torch.tensor([tokens])).logits[0] / temperature
        every = torch.log_softmax(logits[start - 1 : -1], dim=-1)
        return [float(row[token]) for row, token in zip(every, tokens[start:])]

    return forward


@pytest.fixture(scope="module")
def server(model_folder: Folder) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(model_folder()) as running:
        yield running


@pytest.fixture(scope="module")
def embedded_bench(model_folder: Folder) -> Iterator[Bench]:
    """The embedded engine, for the contract."""
    with EmbeddedServer(model_folder()) as running:

        async def count() -> int:
            async with aiohttp.ClientSession() as session, session.get(f"{running.url}/server_info") as response:
                state = json.loads(await response.read())
            return int(state["running"] + state["waiting"])

        yield Bench(running.url, model_folder(), model_folder(seed=1), count)
