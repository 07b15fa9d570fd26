"""How many tokens a cut repeats: ours, the rules of others, and the best of all cuts where it can be had.

    OMP_NUM_THREADS=1 python -m benchmarks.packing_gap [--trajectories FILE...] [--json FILE] [--markdown FILE]

Three tables. `small`: random trees of 4 to 8 leaves, whose divisions are all tried, and of 9 to 13, where the fewest
tokens are those of our dynamic programming; for each rule the mean and the worst of tokens computed over the fewest
possible. A repair divides up to 8 parts exactly: only from 9 leaves on does `repairs` say how good repairs are.
`large`: trees of several shapes and, with --trajectories, those of real rollouts, each at several budgets; no best is
known there, but a lower bound. `batches`: all trees of one kind at once, their paths arriving in turn, rows shared by
several trees. It exits with 1 when any other rule repeats fewer tokens.

The rules, written from their descriptions, each in the reading that is best for it:
    arrival   AReaL: a path goes into the first trie that has room for what it adds, in the order of arrival
    group     TRL: first fit into a row that holds the path's group already, then into any other row
    deepest   Tree Training (arXiv 2511.00413): depth-first with the deepest leaves first, a new pack when it is full;
              or all leaves by depth, whichever repeats less
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.packing_trees import SHAPES, Case, made, random_tree, real, star
from katcore.pack_trie import cut as cut_module
from katcore.pack_trie import cut_exact
from katcore.pack_trie.cut import cut
from katcore.pack_trie.leaves import Leaves
from katcore.pack_trie.options import LayoutOptions
from katcore.pack_trie.packing import layout

Arrival = Sequence[tuple[int, list[int]]]  # (tree, chains of a path)


def _first_fit(cases: Sequence[Case], arrival: Arrival, budget: int, by_group: bool) -> int:
    rows: list[set[tuple[int, int]]] = []
    load: list[int] = []
    for tree, path in arrival:
        order = range(len(rows))
        if by_group:
            order = sorted(order, key=lambda r: all(t != tree for t, _ in rows[r]))
        for r in order:
            adds = sum(cases[tree].size[c] for c in path if (tree, c) not in rows[r])
            if load[r] + adds <= budget:
                break
        else:
            r, adds = len(rows), cases[tree].length(path)
            rows.append(set())
            load.append(0)
        rows[r].update((tree, c) for c in path)
        load[r] += adds
    return sum(load)


def arrival_rule(cases: Sequence[Case], arrival: Arrival, budget: int) -> int:
    """Tokens computed by AReaL's rule."""
    return _first_fit(cases, arrival, budget, by_group=False)


def group_rule(cases: Sequence[Case], arrival: Arrival, budget: int) -> int:
    """Tokens computed by TRL's rule."""
    return _first_fit(cases, arrival, budget, by_group=True)


def deepest_rule(cases: Sequence[Case], arrival: Arrival, budget: int) -> int:
    """Tokens computed by the paper's rule: the better one of its two readings, tree by tree."""
    computed = 0
    for case in cases:
        deepest: dict[int, int] = {}
        for path in case.paths:
            for chain in path:
                deepest[chain] = max(deepest.get(chain, 0), case.length(path))
        depth_first = sorted(case.paths, key=lambda path: [(-deepest[chain], chain) for chain in path])
        by_depth = sorted(case.paths, key=lambda path: -case.length(path))
        computed += min(_next_fit(case, order, budget) for order in (depth_first, by_depth))
    return computed


def _next_fit(case: Case, order: Sequence[list[int]], budget: int) -> int:
    computed, load = 0, 0
    pack: set[int] = set()
    for path in order:
        adds = sum(case.size[c] for c in path if c not in pack)
        if pack and load + adds > budget:
            computed, load, pack, adds = computed + load, 0, set(), case.length(path)
        pack.update(path)
        load += adds
    return computed + load


def ours(cases: Sequence[Case], arrival: Arrival, budget: int) -> int:
    """Tokens computed under `--cut repeat`."""
    found = layout([Leaves.of(case.trie) for case in cases], LayoutOptions(budget=budget, cut="repeat"))
    return sum(sum(c.sizes) for c in found.cuts)


def repairs_only(cases: Sequence[Case], arrival: Arrival, budget: int) -> int:
    """Ours without the exact method for small trees."""
    most, cut_module.MOST_LEAVES = cut_exact.MOST_LEAVES, 0
    try:
        return ours(cases, arrival, budget)
    finally:
        cut_module.MOST_LEAVES = most


def runs_only(cases: Sequence[Case], arrival: Arrival, budget: int) -> int:
    """The best cuts into runs of consecutive leaves."""
    computed = 0
    for case in cases:
        leaves = Leaves.of(case.trie)
        computed += sum(leaves.tokens_of(pack) for pack in cut_exact.consecutive(leaves, budget))
    return computed


PEERS = {"arrival": arrival_rule, "group": group_rule, "deepest": deepest_rule}


def best(case: Case, budget: int) -> int:
    """The fewest tokens of all divisions, which are all tried, but for those that are worse already."""
    sizes: dict[frozenset[int], int] = {}
    found = sum(map(case.length, case.paths))

    def add(k: int, packs: list[frozenset[int]], computed: int) -> None:
        nonlocal found
        if computed >= found and k < len(case.paths):
            return
        if k == len(case.paths):
            found = min(found, computed)
            return
        for i in range(len(packs) + 1):
            old = packs[i] if i < len(packs) else frozenset[int]()
            new = old | frozenset(case.paths[k])
            for chains in (old, new):
                if chains not in sizes:
                    sizes[chains] = sum(case.size[c] for c in chains)
            if sizes[new] <= budget or not old:
                add(k + 1, [*packs[:i], new, *packs[i + 1 :]], computed + sizes[new] - sizes[old])

    add(0, [], 0)
    return found


# ------------------------------------------------------------------------------------------------ measure


def budgets(cases: Sequence[Case]) -> dict[str, int]:
    """From little more than the longest path to half of the largest tree."""
    longest = max(case.length(path) for case in cases for path in case.paths)
    tokens = max(len(case.trie) for case in cases)
    named = {"1.1 path": int(1.1 * longest), "1.5 path": int(1.5 * longest), "2 paths": 2 * longest,
             "1/4 tree": tokens // 4, "1/2 tree": tokens // 2}  # fmt: skip
    return {name: budget for name, budget in named.items() if longest <= budget < tokens}


TRIED = 8
"""Leaves up to which all divisions are tried."""


def _fewest(case: Case, budget: int) -> int:
    leaves = Leaves.of(case.trie)
    return sum(leaves.tokens_of(pack) for pack in cut_exact.partition(leaves, budget))


def small(trees: int) -> list[dict[str, Any]]:
    """The gap of each rule on small random trees and small stars."""
    rows = []
    rules = {"ours": ours, "repairs": repairs_only, "runs": runs_only, **PEERS}
    for leaves in range(4, 14):
        over: dict[str, list[float]] = {name: [] for name in rules}
        for seed in range(trees):
            paths = random_tree(seed, 3, leaves) if seed % 3 else star(seed, 3)[:leaves]
            case = made("small", paths)
            arrival = [(0, path) for path in case.paths]
            rng = random.Random(seed)
            longest = max(map(case.length, case.paths))
            budget = rng.randint(longest, max(longest, len(case.trie) - 1))
            fewest = best(case, budget) if leaves <= TRIED else _fewest(case, budget)
            for name, rule in rules.items():
                over[name].append(rule([case], arrival, budget) / fewest - 1)
        how = "all tried" if leaves <= TRIED else "programming"
        rows.append({"leaves": leaves, "trees": trees, "fewest": how} | {
            name: {"mean": float(np.mean(x)), "worst": max(x), "optimal": float(np.mean(np.array(x) == 0))}
            for name, x in over.items()
        })  # fmt: skip
    return rows


def large(kind: str, cases: Sequence[Case]) -> Iterator[dict[str, Any]]:
    """Each tree at each budget."""
    for case in cases:
        for name, budget in budgets([case]).items():
            leaves = Leaves.of(case.trie)
            start = time.perf_counter()
            found = cut(leaves, budget)
            seconds = time.perf_counter() - start
            arrival = [(0, path) for path in case.paths]
            flat = sum(map(case.length, case.paths))
            yield {
                "kind": kind, "tree": case.name, "leaves": len(leaves), "unique": len(case.trie), "flat": flat,
                "budget": name, "budget_tokens": budget, "packs": len(found.packs), "exact": found.exact,
                "repeated": {"bound": found.bound - found.unique, "ours": found.repeated} | {
                    peer: rule([case], arrival, budget) - len(case.trie) for peer, rule in PEERS.items()
                },
                "por": 1 - len(case.trie) / flat, "err": 1 - sum(found.sizes) / flat, "seconds": seconds,
            }  # fmt: skip


def batches(kind: str, cases: Sequence[Case]) -> Iterator[dict[str, Any]]:
    """All trees at once, their paths arriving in turn."""
    turns = max(len(case.paths) for case in cases)
    arrival = [(t, case.paths[k]) for k in range(turns) for t, case in enumerate(cases) if k < len(case.paths)]
    unique = sum(len(case.trie) for case in cases)
    for name, budget in budgets(cases).items():
        rules = {"ours": ours, **PEERS}
        yield {"kind": kind, "trees": len(cases), "unique": unique, "budget": name, "budget_tokens": budget,
               "repeated": {rule: work(cases, arrival, budget) - unique for rule, work in rules.items()}}  # fmt: skip


def lost(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where another rule repeats fewer tokens than ours."""
    return [row for row in rows if any(row["repeated"][peer] < row["repeated"]["ours"] for peer in PEERS)]


# -------------------------------------------------------------------------------------------------- tables


def markdown(found: dict[str, Any]) -> str:
    """The tables for people."""
    lines = ["# Tokens that a cut repeats", "", f"`{found['command']}`, commit {found['commit']}.", "",
             "## Small trees: tokens computed over the fewest possible",
             "", "Mean / worst, and the share of trees on which the rule is optimal. Up to 8 leaves the fewest of all",
             "divisions, above that those of our dynamic programming, which `ours` uses up to 12 leaves and `repairs`",
             "never.", "",
             "| leaves | trees | fewest | " + " | ".join(list(found["small"][0])[3:]) + " |"]  # fmt: skip
    lines.append("|" + "---|" * (len(found["small"][0])))
    for row in found["small"]:
        cells = [f"{x['mean']:.2%} / {x['worst']:.1%}, {x['optimal']:.0%}" for x in row.values() if isinstance(x, dict)]
        lines.append(f"| {row['leaves']} | {row['trees']} | {row['fewest']} | " + " | ".join(cells) + " |")
    lines += ["", "## Larger trees: tokens repeated, over those of the tree", "",
              "Sums over the trees of a kind. `bound`: no cut repeats fewer. `exact`: trees where ours is proved best.",
              "", "| kind | budget | trees | bound | ours | exact | arrival | group | deepest | POR | ERR |",
              "|" + "---|" * 11]  # fmt: skip
    for kind, budget in dict.fromkeys((row["kind"], row["budget"]) for row in found["large"]):
        rows = [row for row in found["large"] if (row["kind"], row["budget"]) == (kind, budget)]
        unique, flat = sum(row["unique"] for row in rows), sum(row["flat"] for row in rows)
        share = {n: sum(row["repeated"][n] for row in rows) / unique for n in rows[0]["repeated"]}
        err = 1 - unique * (1 + share["ours"]) / flat
        figures = [f"{share[n]:.1%}" for n in ("bound", "ours")]
        figures += [str(sum(row["exact"] for row in rows)), *(f"{share[n]:.1%}" for n in PEERS)]
        figures += [f"{1 - unique / flat:.3f}", f"{err:.3f}"]
        lines.append(f"| {kind} | {budget} | {len(rows)} | " + " | ".join(figures) + " |")
    if found["single"]:
        lines += ["", f"Nothing to cut, one path only: {', '.join(found['single'])}."]
    lines += ["", "## Batches: several trees, paths arriving in turn", "",
              "| kind | budget | trees | ours | arrival | group | deepest |", "|" + "---|" * 7]  # fmt: skip
    for row in found["batches"]:
        cells = [f"{row['repeated'][n] / row['unique']:.1%}" for n in ("ours", *PEERS)]
        lines.append(f"| {row['kind']} | {row['budget']} | {row['trees']} | " + " | ".join(cells) + " |")
    lines += ["", "## Lost", "", *(_loss(row) for row in lost([*found["large"], *found["batches"]]))]
    if lines[-1] == "":
        lines.append("No other rule repeats fewer tokens, on no tree and in no batch.")
    return "\n".join(lines) + "\n"


def _loss(row: dict[str, Any]) -> str:
    better = ", ".join(f"`{peer}` {row['repeated'][peer]:,}" for peer in PEERS
                       if row["repeated"][peer] < row["repeated"]["ours"])  # fmt: skip
    where = row.get("tree", f"batch of {row['kind']}")
    return f"- {where} at {row['budget']} ({row['budget_tokens']:,} tokens): {better}, ours {row['repeated']['ours']:,}"


def main() -> None:
    """Print the tables; exit with 1 when another rule repeats fewer tokens anywhere."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trajectories", type=Path, nargs="*", default=[], metavar="FILE")
    parser.add_argument("--trees", type=int, default=60, help="small trees of each size")
    parser.add_argument("--seeds", type=int, default=4, help="larger trees of each shape")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    kinds = {shape: [made(f"{shape}/{s}", paths(s, 40)) for s in seeds] for shape, paths in SHAPES.items()}
    kinds |= {f"real: {cases[0].name.partition('/')[0]}": cases for cases in real(options.trajectories) if cases}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    found = {
        "command": " ".join(["python -m benchmarks.packing_gap", *(Path(a).name for a in sys.argv[1:])]),
        "commit": commit.stdout.strip(), "python": platform.python_version(), "numpy": np.__version__,
        "single": [case.name for cases in kinds.values() for case in cases if len(case.paths) < 2],
        "small": small(options.trees),
        "large": [row for kind, cases in kinds.items() for row in large(kind, cases)],
        "batches": [row for kind, cases in kinds.items() for row in batches(kind, cases)],
    }  # fmt: skip
    text = markdown(found)
    print(text)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(text)
    worse = lost([*found["large"], *found["batches"]])
    for row in worse:
        print(f"another rule repeats fewer tokens: {row}", file=sys.stderr)
    sys.exit(1 if worse else 0)


if __name__ == "__main__":
    main()
