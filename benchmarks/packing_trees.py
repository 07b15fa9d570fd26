"""Trees to cut for `packing_gap.py`: synthetic ones of several shapes, and those of real rollouts.

A `Case` is a tree as the chains on each of its paths, in the order in which the paths arrived: found here once more and
in another way than in the code that is measured.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np

from katcore.pack_trie.tree import TokenTree
from katcore.pack_trie.trie import Trie, merge
from katcore.records import Trajectory
from katcore.streams import read_records


@dataclass
class Case:
    """A tree: for each leaf the chains from the root, as (name, tokens), in the order in which the paths arrived."""

    name: str
    trie: Trie
    paths: list[list[int]] = field(default_factory=list)  # chains on each path
    size: list[int] = field(default_factory=list)  # tokens of each chain

    @classmethod
    def of(cls, name: str, trie: Trie, arrived: Sequence[int]) -> Case:
        """From the last tokens of the paths; paths that another one extends are no leaves."""
        case, chain_of = cls(name, trie), [0] * len(trie)
        above: list[int] = []
        parents, ends = trie.parent.tolist(), trie.end.tolist()
        for i, parent in enumerate(parents):
            if parent == i - 1 >= 0 and ends[i] == ends[i - 1]:
                chain_of[i] = chain_of[i - 1]
                case.size[-1] += 1
                continue
            chain_of[i] = len(case.size)
            above.append(chain_of[parent] if parent >= 0 else -1)
            case.size.append(1)
        for tip in dict.fromkeys(arrived):
            if ends[tip] == tip + 1:
                at, path = chain_of[tip], []
                while at >= 0:
                    path.append(at)
                    at = above[at]
                case.paths.append(path[::-1])
        return case

    def length(self, path: Sequence[int]) -> int:
        """Tokens of some chains."""
        return sum(self.size[c] for c in path)


def made(name: str, paths: Sequence[Sequence[int]]) -> Case:
    """A tree of token sequences, in the order of arrival."""
    none, ints = np.empty(0, np.float32), np.empty(0, np.int32)
    trees = [
        TokenTree((), (-1,), (0, len(p)), np.array(p, np.int32), ints.astype(np.int64), ints, ints, none, [])
        for p in paths
    ]
    trie, places = merge(trees)
    return Case.of(name, trie, [int(place[-1]) for place in places])


class Tokens:
    """New tokens, each other than all before it."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.next = 0

    def __call__(self, low: int, high: int) -> list[int]:
        count = self.rng.randint(low, high)
        self.next += count
        return list(range(self.next - count, self.next))


def rollouts(seed: int, scale: int) -> list[list[int]]:
    """16 samples of a task over one prompt, each leaving an older one at a turn, half of them late."""
    new, paths = Tokens(seed), []
    prompt = new(20 * scale, 30 * scale)
    for _ in range(16):
        turns = [new(scale, 6 * scale) for _ in range(new.rng.randint(8, 20))]
        older = new.rng.choice(paths) if paths and new.rng.random() < 0.7 else [prompt]
        keep = older[: new.rng.randint(max(1, len(older) // 2), len(older))]
        paths.append(keep + turns[: max(2, 20 - len(keep))])
    return [list(chain.from_iterable(path)) for path in paths]


def subagents(seed: int, scale: int) -> list[list[int]]:
    """4 samples, each of which calls sub-agents that start over with a system prompt of their own."""
    new, paths = Tokens(seed), []
    prompt, other = new(20 * scale, 20 * scale), new(10 * scale, 10 * scale)
    for _ in range(4):
        main = [prompt]
        for _ in range(new.rng.randint(2, 5)):
            main.append(new(2 * scale, 10 * scale))
            task = [other, *(new(2 * scale, 6 * scale) for _ in range(new.rng.randint(1, 6)))]
            paths += [task, [*task, new(scale, 9 * scale)]]
        paths.append(main)
    return [list(chain.from_iterable(path)) for path in paths]


def compaction(seed: int, scale: int) -> list[list[int]]:
    """8 samples that sum up their context again and again: each time system prompt, task and summary stay."""
    new, paths = Tokens(seed), []
    prompt = new(15 * scale, 25 * scale)
    for _ in range(8):
        summary: list[int] = []
        for _ in range(new.rng.randint(1, 5)):
            paths.append(prompt + summary + new(20 * scale, 60 * scale))
            summary = new(2 * scale, 5 * scale)
    return paths


def binary(seed: int, scale: int) -> list[list[int]]:
    """32 leaves, two children at each fork."""
    new = Tokens(seed)
    level = [new(4 * scale, 8 * scale)]
    for _ in range(5):
        level = [path + new(2 * scale, 8 * scale) for path in level for _ in range(2)]
    return level


def comb(seed: int, scale: int) -> list[list[int]]:
    """One long path with a branch at each of 24 turns."""
    new, spine, paths = Tokens(seed), [], []
    for _ in range(24):
        spine = spine + new(scale, 4 * scale)
        paths.append(spine + new(scale, 8 * scale))
    return paths


def star(seed: int, scale: int) -> list[list[int]]:
    """A prompt and 40 answers of very different lengths."""
    new = Tokens(seed)
    prompt = new(10 * scale, 10 * scale)
    return [prompt + new(scale, 30 * scale) for _ in range(40)]


def random_tree(seed: int, scale: int, leaves: int = 50) -> list[list[int]]:
    """Paths that leave older ones anywhere."""
    new = Tokens(seed)
    paths = [new(scale, 20 * scale)]
    while len(paths) < leaves:
        base = new.rng.choice(paths)
        paths.append(base[: new.rng.randint(1, len(base))] + new(scale, 10 * scale))
    return paths


SHAPES: dict[str, Callable[[int, int], list[list[int]]]] = {
    "rollouts": rollouts, "sub-agents": subagents, "compaction": compaction, "binary": binary, "comb": comb,
    "star": star, "random": random_tree,
}  # fmt: skip


def real(files: Sequence[Path]) -> Iterator[list[Case]]:
    """The trees of rollouts, a list of them for each file."""
    for file in files:
        groups: dict[str, list[TokenTree]] = {}
        for line in read_records([file]):
            if isinstance(line.record, Trajectory):
                groups.setdefault(line.record.group_id, []).append(TokenTree.of(line.record))
        cases = []
        for number, trees in enumerate(groups.values()):
            trie, places = merge(trees)
            tips = [int(at[t.start[leaf + 1] - 1]) for t, at in zip(trees, places) for leaf in t.leaves]
            cases.append(Case.of(f"{file.name.partition('.')[0]}/{number}", trie, tips))
        yield cases
