"""Which model trains at which context where: bytes a token measured at the models' real widths, the rest counted.

    python benchmarks/what_fits.py --out benchmarks/results/what_fits.json

One and two layers of each width are run on the CPU in bf16, forward and backward over short chains, under the same
count of live tensors as kat-train's own estimate; the difference is a layer's. Then, for a budget of tokens and a path,

    peak a rank = state / ranks + layers · (keep · budget + (wait + lent) · path) + head

with 18 bytes a weight of state (bf16 weight, fp32 master, two moments, fp32 gradient), shared out by ZeRO-3; its
gathered layer and the embeddings beside it. What allocators and libraries keep, and communication buffers, come on top:
10 % are left free. Not run on a GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from katcore.model.memory import Costs
from katcore.model.tree_lm import TreeLM


@dataclass(frozen=True)
class Model:
    """Widths of a published Qwen3 model, from its config."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv: int = 8
    tied: bool = False
    vocabulary: int = 151_936
    head: int = 128

    @property
    def layer(self) -> int:
        """Weights of one layer."""
        return self.hidden * (self.head * (2 * self.heads + 2 * self.kv) + 3 * self.intermediate)

    @property
    def weights(self) -> int:
        """Weights of all layers and embeddings."""
        return self.layers * self.layer + (1 if self.tied else 2) * self.vocabulary * self.hidden


MODELS = {
    "Qwen3-0.6B": Model(1024, 3072, 28, 16, tied=True),
    "Qwen3-1.7B": Model(2048, 6144, 28, 16, tied=True),
    "Qwen3-4B": Model(2560, 9728, 36, 32, tied=True),
    "Qwen3-8B": Model(4096, 12288, 36, 32),
    "Qwen3-14B": Model(5120, 17408, 40, 40),
    "Qwen3-32B": Model(5120, 25600, 64, 64),
}
MACHINES = {"1 × 80 GB": (1, 80e9), "8 × 80 GB": (8, 80e9), "8 × 141 GB": (8, 141e9), "64 × 80 GB": (64, 80e9)}
STATE = 18
FREE = 0.9


def a_layer(model: Model) -> dict[str, float]:
    """Bytes a token and layer, by what becomes of it."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    found = []
    for layers in (1, 2):
        config = Qwen3Config(
            vocab_size=64, hidden_size=model.hidden, intermediate_size=model.intermediate, num_hidden_layers=layers,
            num_attention_heads=model.heads, num_key_value_heads=model.kv, head_dim=model.head,
        )  # fmt: skip
        found.append(Costs.of(TreeLM(Qwen3ForCausalLM(config).to(torch.bfloat16).train())))
    one, two = found
    return {name: getattr(two, name) - getattr(one, name) for name in ("keep", "wait", "path")}


def head_bytes(model: Model, rows: int) -> int:
    """What reading log-probs of `rows` states takes on a GPU."""
    from katkernels.linear_logprob.fold import workspace_bytes

    return workspace_bytes(rows, model.hidden, model.vocabulary, torch.bfloat16)


def longest(model: Model, layer: dict[str, float], ranks: int, memory: float, budget: int) -> int:
    """Tokens of the longest path that a rank can hold, in thousands; 0 where not even the budget fits."""
    fetched = 0 if ranks == 1 else 2 * (2 * model.layer + model.vocabulary * model.hidden) * 2
    rest = FREE * memory - STATE * model.weights / ranks - fetched - head_bytes(model, budget)
    rest -= model.layers * layer["keep"] * budget
    return max(int(rest / (model.layers * (layer["wait"] + layer["path"]))) // 1024, 0) if rest > 0 else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--budgets", nargs="*", type=int, default=[4096, 16384])
    parser.add_argument("--out", type=Path, help="where the raw figures go, as JSON")
    args = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in args.models:
        model = MODELS[name]
        layer = a_layer(model)
        for budget in args.budgets:
            fits = {m: longest(model, layer, ranks, size, budget) for m, (ranks, size) in MACHINES.items()}
            rows.append(
                {"model": name, "weights": model.weights, "budget": budget, "a_layer": layer, "longest_k": fits}
            )
            print(name, budget, {k: round(v) for k, v in layer.items()}, fits, file=sys.stderr, flush=True)
    print("| model | budget | KiB a budget token | KiB a path token | " + " | ".join(MACHINES) + " |")
    print("|---|---|---|---|" + "---|" * len(MACHINES))
    for row in rows:
        layers, layer = MODELS[row["model"]].layers, row["a_layer"]
        cells = [f"{k}k" if k else "—" for k in row["longest_k"].values()]
        budgets = [f"{layers * x / 1024:,.0f}" for x in (layer["keep"], layer["wait"] + layer["path"])]
        print(f"| {row['model']} | {row['budget']:,} | " + " | ".join([*budgets, *cells]) + " |")
    if args.out:
        args.out.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
