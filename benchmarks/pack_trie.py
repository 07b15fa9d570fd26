"""How fast a step's trajectories become packs: one core, synthetic agentic rollouts that share prefixes.

    OMP_NUM_THREADS=1 python benchmarks/pack_trie.py [--tokens 1000000] [--runs 5] [--json FILE]

16 groups of 8 samples: a system prompt and a task, then turns of a completion and an observation; samples of a group
leave each other early, in the middle or late. Timed apart: `read`, records to token arrays; `trie`, merging and
flattening; `trie_and_terms`, that with advantages, weights and term tables; `whole`, all of it with rows, ids and the
lists of the records; `encode`, JSON. `concatenate` is np.concatenate of the same token lists: the least that any of it
could take. Decoding the input JSON is not part of it: the benchmark of the streams measures that.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from katcore.pack_trie import group
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.stream import items
from katcore.pack_trie.tree import TokenTree
from katcore.pack_trie.trie import merge
from katcore.records import Node, Pack, Scaffold, Trajectory, Verdict, encode
from katcore.streams import Line

GROUPS, SAMPLES, VOCABULARY = 16, 8, 150_000


def trajectories(flat: int, seed: int = 0) -> list[Trajectory]:
    """About `flat` tokens of paths at a POR near 0.6."""
    rng = random.Random(seed)
    length = flat // (GROUPS * SAMPLES)  # tokens of one sample's path
    made = []
    for g in range(GROUPS):
        trunk = _turns(rng, length, first=0)
        for s in range(SAMPLES):
            keep = rng.choice((0.2, 0.6, 0.6, 0.9))  # how much of the group's trunk this sample took too
            made.append(_sample(rng, trunk[: 1 + int(keep * (len(trunk) - 1))], length, g, s))
    return made


def _turns(rng: random.Random, tokens: int, first: int) -> list[list[int]]:
    """Deltas in turn: a prompt, then completions (odd) and observations (even)."""
    deltas = [_ids(rng, min(3000, tokens // 3))] if first == 0 else []
    have = sum(map(len, deltas))
    while have < tokens:
        size = min(rng.randint(40, 300) if (first + len(deltas)) % 2 else rng.randint(20, 900), tokens - have)
        deltas.append(_ids(rng, size))
        have += size
    return deltas


def _ids(rng: random.Random, count: int) -> list[int]:
    return [rng.randrange(VOCABULARY) for _ in range(count)]


def _sample(rng: random.Random, shared: list[list[int]], length: int, g: int, s: int) -> Trajectory:
    rest = length - sum(map(len, shared))
    deltas = shared + _turns(rng, max(rest, 60), first=len(shared))
    nodes = [_node(i, i - 1, delta, i % 2 == 1) for i, delta in enumerate(deltas)]
    return Trajectory(
        id=f"{g}-{s}", task_id=f"task-{g}", group_id=f"g{g}", group_size=SAMPLES, sample_index=s, model="m",
        scaffold=Scaffold(name="synthetic"), nodes=nodes, verdict=Verdict(reward=float(rng.random() < 0.5)),
    )  # fmt: skip


def _node(i: int, parent: int, delta: list[int], sampled: bool) -> Node:
    return Node(
        id=i, parent=None if parent < 0 else parent, role="assistant" if sampled else "tool", token_ids=delta,
        sampled=[(0, len(delta))] if sampled else [], engine_logprobs=[-0.5] * len(delta) if sampled else None,
        versions=[(0, "7")] if sampled else [],
    )  # fmt: skip


def measure(runs: int, made: list[Trajectory]) -> dict[str, Any]:
    """Seconds of each part (medians), with what went through it."""
    lines = [Line(t, b"", n, "synthetic") for n, t in enumerate(made)]
    settings = PackOptions(objective="grpo", groups_per_step=0)
    seconds: dict[str, list[float]] = {}
    packs: list[Pack] = []

    def timed(name: str, work: Callable[..., Any], *args: Any) -> Any:
        start = time.perf_counter()
        result = work(*args)
        seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def one_by_one(work: Callable[..., Any], values: Iterable[Any], *rest: Any) -> list[Any]:
        return [work(value, *rest) for value in values]

    deltas = [n.token_ids for t in made for n in t.nodes]
    for _ in range(runs):
        timed("concatenate", lambda: np.concatenate([np.array(delta, np.int32) for delta in deltas]))
        trees = timed("read", one_by_one, TokenTree.of, made)
        members = [group.Member(t, tree, line) for t, tree, line in zip(made, trees, lines)]
        timed("trie", one_by_one, merge, [trees[i : i + SAMPLES] for i in range(0, len(trees), SAMPLES)])
        groups = [members[i : i + SAMPLES] for i in range(0, len(members), SAMPLES)]
        timed("trie_and_terms", one_by_one, group.settle, groups, settings)
        packs = [item.payload for item in timed("whole", lambda: list(items(iter(lines), settings)))]
        timed("encode", one_by_one, encode, packs)
    median = {name: round(statistics.median(values), 4) for name, values in seconds.items()}
    flat, unique = sum(p.stats.flat for p in packs), sum(p.stats.unique for p in packs)
    stored = sum(len(n.token_ids or ()) for t in made for n in t.nodes)
    return {
        "stored_tokens": stored, "flat_tokens": flat, "unique_tokens": unique, "por": round(1 - unique / flat, 3),
        "terms": sum(len(p.term_token) for p in packs), "packs": len(packs), "seconds": median,
        "all_seconds": seconds, "whole_over_concatenate": round(median["whole"] / median["concatenate"], 2),
        "tokens_per_second": round(flat / median["whole"]),
    }  # fmt: skip


def main() -> None:
    """Print the figures; with --json also keep them, with the machine and the commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core
    found = measure(options.runs, trajectories(options.tokens))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    found |= {"cpu": _cpu(), "cores": 1, "python": platform.python_version(), "numpy": np.__version__}
    found["commit"] = commit.stdout.strip()
    print(json.dumps({k: v for k, v in found.items() if k != "all_seconds"}, indent=2))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


if __name__ == "__main__":
    main()
