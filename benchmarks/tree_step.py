"""Tree training beside linear training of the same trajectories: forward and backward of one step, in one run.

    python benchmarks/tree_step.py --device cpu --json

Trees: synthetic rollouts at POR 0.3, 0.6 and 0.85 (a trunk, forks at turns), and one from real rollouts
(benchmarks/data/real_rollouts.jsonl.zst: 32 samples of a policy at each of two tasks, packed by kat-pack-trie; their
shape and terms, with token ids drawn anew). Every sampled token carries the loss; same model, dtype, loss, attention
and threads on both sides.

Linear is the faster of: each path by itself through the model's own code and SDPA, and all paths in unpadded rows,
sorted by length. The tree is one row, and again in parts of at most a tenth of its tokens. The sides are interleaved;
the speed-up is the median of the pairs' ratios.

All sides run with threads that wait actively for one another (OMP_WAIT_POLICY, unless it is set): where a sleeping
thread is woken late, as on many virtual machines, every small operation costs that, and parts have ten times as many.
The heap keeps what it is given back, as under kat-train.

`token_ceiling` is 1/(1 − POR). `flop_ceiling` is what the same work would take at the measured flat rates, linear over
tree: FLOPs of the dense layers and of attention apart, each divided by the rate that linear training reaches there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from katcore.model.partition import partition
from katcore.model.tree import Forest
from katcore.model.tree_lm import TreeLM
from katcore.model.walk import WalkPlan, walk
from katcore.records import Pack
from katcore.streams import read_records
from katcore.train.heap import keep_memory

HERE = Path(__file__).parent
SHAPES = {
    "por-0.3": ((16,), (400, 850)),
    "por-0.6": ((16,), (1400, 820)),
    "por-0.85": ((16, 2), (2300, 470, 150)),
}
"""Branches at each fork, and tokens of each level, trunk first."""


@dataclass(frozen=True)
class Case:
    """One tree and its paths."""

    name: str
    tree: Forest
    paths: list[Tensor]  # indices into the tree, root first
    trained: Tensor  # [N] bool
    budget: int = 0

    @property
    def flat(self) -> int:
        """Tokens of all paths."""
        return sum(len(path) for path in self.paths)

    @property
    def por(self) -> float:
        """1 - unique / flat."""
        return 1 - len(self.tree) / self.flat


def grown(name: str, vocabulary: int, seed: int = 0) -> Case:
    """A tree of that shape; lengths vary by a fifth, the first quarter of the trunk is prompt."""
    branches, lengths = SHAPES[name]
    rng = random.Random(seed)
    parent: list[int] = []
    depth: list[int] = []
    end: list[int] = []

    def grow(level: int, above: int) -> None:
        size = round(lengths[level] * rng.uniform(0.8, 1.2))
        first = len(parent)
        for i in range(size):
            parent.append(above if i == 0 else len(parent) - 1)
            depth.append(0 if parent[-1] < 0 else depth[parent[-1]] + 1)
            end.append(0)
        last = len(parent) - 1
        for _ in range(branches[level] if level < len(branches) else 0):
            grow(level + 1, last)
        end[first : last + 1] = [len(parent)] * size

    grow(0, -1)
    tokens = torch.randint(vocabulary, (len(parent),), generator=torch.Generator().manual_seed(seed))
    tree = Forest(tokens, torch.tensor(parent), torch.tensor(depth), torch.tensor(end))
    trained = torch.arange(len(tree)) >= lengths[0] // 4
    return Case(name, tree, paths_of(tree), trained)


def paths_of(tree: Forest) -> list[Tensor]:
    """Every root-to-leaf path."""
    parent = tree.parent.tolist()
    out = []
    for leaf in (tree.end == torch.arange(len(tree)) + 1).nonzero()[:, 0].tolist():
        path = [leaf]
        while parent[path[-1]] >= 0:
            path.append(parent[path[-1]])
        out.append(torch.tensor(path[::-1]))
    return out


def recorded(path: Path) -> Case:
    """The packs of a file as one row. A sample that ends inside another's path is a path of its own."""
    packs = [line.record for line in read_records([path], (Pack,)) if isinstance(line.record, Pack)]
    trees, trained, paths, offset = [], [], [], 0
    for pack in packs:
        tree = Forest.of(pack)
        mark = torch.zeros(len(tree), dtype=torch.bool)
        mark[torch.tensor(pack.term_token)] = True
        ends: dict[int, int] = {}
        for token, sample in zip(pack.term_token, pack.term_sample):
            ends[sample] = max(ends.get(sample, 0), token)
        parent = tree.parent.tolist()
        for last in ends.values():
            way = [last]
            while parent[way[-1]] >= 0:
                way.append(parent[way[-1]])
            paths.append(torch.tensor(way[::-1]) + offset)
        trees.append((tree, offset))
        trained.append(mark)
        offset += len(tree)
    joined = Forest(
        torch.cat([t.tokens for t, _ in trees]),
        torch.cat([torch.where(t.parent < 0, -1, t.parent + o) for t, o in trees]),
        torch.cat([t.depth for t, _ in trees]),
        torch.cat([t.end + o for t, o in trees]),
    )
    return Case("real", joined, paths, torch.cat(trained))


# ------------------------------------------------------------------------------------------------ the sides


def tree_side(lm: TreeLM, case: Case, budget: int) -> Callable[[], int]:
    """One step over the tree; returns the tokens that it computed."""
    index = (case.trained & (case.tree.parent >= 0)).nonzero()[:, 0].to(lm.device)
    weight = torch.zeros(len(case.tree))
    for path in case.paths:
        weight[path] += 1
    tree = case.tree.to(lm.device)
    plan = WalkPlan.of(tree, partition(tree, budget), index)
    scale = weight.to(lm.device)[index] / case.flat

    def step() -> int:
        walk(lm, plan, lambda which, lp, _: -(scale[which].to(lp) * lp).sum())
        return sum(len(part) for part in plan.parts)

    return step


def alone_side(lm: TreeLM, case: Case) -> Callable[[], int]:
    """Every path by itself, through the model's own code."""
    ids = [(case.tree.tokens[p].to(lm.device), case.trained[p][1:].nonzero()[:, 0].to(lm.device)) for p in case.paths]

    def step() -> int:
        lm.model.set_attn_implementation(lm.stock)
        for tokens, places in ids:
            hidden = lm.model.get_decoder()(input_ids=tokens[None], use_cache=False).last_hidden_state[0]
            lp, _ = lm.read(hidden, tokens[places + 1], places, 1.0)
            (-lp.sum() / case.flat).backward()
        return case.flat

    return step


def rows_side(lm: TreeLM, case: Case, row: int = 4096) -> Callable[[], int]:
    """All paths, longest first, in unpadded rows of about `row` tokens: a forest of chains."""
    rows: list[list[Tensor]] = [[]]
    for path in sorted(case.paths, key=len, reverse=True):
        if rows[-1] and sum(map(len, rows[-1])) + len(path) > row:
            rows.append([])
        rows[-1].append(path)
    plans = [_chains(case, paths, lm.device) for paths in rows]

    def step() -> int:
        for plan in plans:
            walk(lm, plan, lambda which, lp, _: -lp.sum() / case.flat)
        return case.flat

    return step


def _chains(case: Case, paths: Sequence[Tensor], device: torch.device) -> WalkPlan:
    starts = torch.tensor([0, *torch.tensor([len(p) for p in paths]).cumsum(0).tolist()])
    size = int(starts[-1])
    parent, end = torch.arange(-1, size - 1), torch.empty(size, dtype=torch.int64)
    parent[starts[:-1]] = -1
    for a, b in zip(starts[:-1].tolist(), starts[1:].tolist()):
        end[a:b] = b
    flat = torch.cat(list(paths))
    depth = torch.cat([torch.arange(len(p)) for p in paths])
    tree = Forest(case.tree.tokens[flat], parent, depth, end).to(device)
    index = (case.trained[flat] & (parent >= 0)).nonzero()[:, 0].to(device)
    return WalkPlan.of(tree, partition(tree), index)


# --------------------------------------------------------------------------------------------------- ceilings


def flops(config: Any, case: Case, *, linear: bool) -> tuple[float, float]:
    """(dense, attention) FLOPs of forward and backward: 6 a weight and token, 12 · heads · size a pair and layer."""
    head = config.head_dim
    layer = config.hidden_size * head * (2 * config.num_attention_heads + 2 * config.num_key_value_heads)
    layer += 3 * config.hidden_size * config.intermediate_size
    depth = case.tree.depth
    parts = case.paths if linear else [torch.arange(len(case.tree))]
    tokens = sum(map(len, parts))
    trained = sum(int(case.trained[p][case.tree.parent[p] >= 0].sum()) for p in parts)
    pairs = sum(int((depth[p] + 1).sum()) for p in parts)
    # the head's logits are computed twice: its backward pass makes them again, on both sides
    dense = 6.0 * config.num_hidden_layers * layer * tokens + 8.0 * config.hidden_size * config.vocab_size * trained
    return dense, 12.0 * config.num_hidden_layers * config.num_attention_heads * head * pairs


def rates(lm: TreeLM, case: Case) -> tuple[float, float]:
    """(dense, attention) FLOP/s that linear training reaches: from steps over one path, and attention alone on it."""
    from torch.nn.functional import scaled_dot_product_attention

    config = lm.model.config
    length = sorted(map(len, case.paths))[len(case.paths) // 2]
    path = next(p for p in case.paths if len(p) == length)
    one = Case(case.name, case.tree, [path], case.trained)
    dense, attention = flops(config, one, linear=True)
    heads, kv, size = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    q, k, v = (torch.randn(1, h, length, size, device=lm.device, requires_grad=True) for h in (heads, kv, kv))

    def attend() -> None:
        for _ in range(config.num_hidden_layers):
            scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != kv).sum().backward()

    step = alone_side(lm, one)
    both = [(timed(lm, step), timed(lm, attend)) for _ in range(7)]
    whole, alone = (statistics.median(x) for x in zip(*both))
    return dense / max(whole - alone, 1e-9), attention / alone


def timed(lm: TreeLM, step: Callable[[], Any]) -> float:
    """Seconds of one call, gradients dropped before."""
    lm.model.zero_grad(set_to_none=True)
    if lm.device.type == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    step()
    if lm.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def measure(lm: TreeLM, case: Case, pairs: int) -> list[dict[str, Any]]:
    """A row for the whole tree and one for parts of a tenth."""
    tenth = max(len(case.tree) // 10, 1)
    sides = {
        "alone": alone_side(lm, case),
        "rows": rows_side(lm, case),
        "tree": tree_side(lm, case, 0),
        "parts": tree_side(lm, case, tenth),
    }
    computed = {name: step() for name, step in sides.items()}  # warm-up
    first = {name: timed(lm, sides[name]) for name in ("alone", "rows")}
    linear = min(first, key=lambda name: first[name])
    raced = (linear, "tree", "parts")
    seconds: dict[str, list[float]] = {name: [] for name in raced}
    for _ in range(pairs):
        for name in raced:
            seconds[name].append(timed(lm, sides[name]))
    dense_rate, attention_rate = rates(lm, case)
    cost = [
        sum(work / rate for work, rate in zip(flops(lm.model.config, case, linear=side), (dense_rate, attention_rate)))
        for side in (True, False)
    ]
    rows = []
    for name, budget in (("tree", 0), ("parts", tenth)):
        speedup = statistics.median(a / b for a, b in zip(seconds[linear], seconds[name]))
        rows.append(
            {
                "tree": case.name,
                "por": round(case.por, 4),
                "budget": budget or len(case.tree),
                "speedup": round(speedup, 3),
                "token_ceiling": round(1 / (1 - case.por), 3),
                "flop_ceiling": round(cost[0] / cost[1], 3),
                "of_ceiling": round(speedup / (cost[0] / cost[1]), 3),
                "computed_tokens": computed[name],
                "unique_tokens": len(case.tree),
                "flat_tokens": case.flat,
                "linear": linear,
                "linear_first": {name: round(x, 4) for name, x in first.items()},
                "seconds": {side: [round(x, 4) for x in each] for side, each in seconds.items()},
                "wait_policy": os.environ["OMP_WAIT_POLICY"],
                "rates": {"dense": dense_rate, "attention": attention_rate},
            }
        )
    return rows


def model(args: argparse.Namespace) -> TreeLM:
    """A Qwen3 with random weights."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=args.vocab,
        hidden_size=args.hidden,
        intermediate_size=3 * args.hidden,
        num_hidden_layers=args.layers,
        num_attention_heads=args.hidden // 64 * 2,
        num_key_value_heads=args.hidden // 64,
        head_dim=64 if args.hidden >= 512 else 32,
        max_position_embeddings=1 << 17,
        tie_word_embeddings=True,
    )
    made = Qwen3ForCausalLM(config).to(args.device, getattr(torch, args.dtype)).train()
    return TreeLM(made, args.backend)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--backend", default="auto", help="of tree attention")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--vocab", type=int, default=4096)
    parser.add_argument("--pairs", type=int, default=5, help="interleaved repetitions")
    parser.add_argument("--trees", nargs="*", default=[*SHAPES, "real"])
    parser.add_argument("--packs", type=Path, default=HERE / "data" / "real_rollouts.jsonl.zst")
    parser.add_argument("--json", nargs="?", const="-", help="write the rows as JSON, to a file or standard output")
    args = parser.parse_args()
    if "OMP_WAIT_POLICY" not in os.environ:  # OpenMP reads it once, when torch is loaded
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"OMP_WAIT_POLICY": "active"})
    keep_memory()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 0)) or torch.get_num_threads())
    lm = model(args)
    rows = []
    for name in args.trees:
        case = recorded(args.packs) if name == "real" else grown(name, args.vocab)
        for row in measure(lm, case, args.pairs):
            rows.append(row)
            print(
                f"{row['tree']:<9} POR {row['por']:.3f}  budget {row['budget']:>6}  speed-up {row['speedup']:5.2f}  "
                f"ceiling: tokens {row['token_ceiling']:5.2f}, FLOPs {row['flop_ceiling']:5.2f}  "
                f"reached {row['of_ceiling']:.0%}  computed {row['computed_tokens']} of {row['unique_tokens']} unique",
                file=sys.stderr,
            )
    if args.json == "-":
        print(json.dumps(rows, indent=1))
    elif args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
