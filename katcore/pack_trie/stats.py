"""How much trajectories or packs share: unique, repeated and flat tokens, POR, ERR, rows.

In: a stream of trajectories (grouped and merged as for packing, whatever their verdicts) or of packs. Out: rows as
plain objects, and a table for people. POR = 1 - unique / flat says what sharing could save, ERR = 1 - computed / flat
what it does: a tree that is cut repeats tokens. Packs of one step that hold parts of one group's tree are merged to
see what they repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec
import numpy as np

from katcore.errors import InputError, RecordError
from katcore.pack_trie.leaves import Leaves
from katcore.pack_trie.options import LayoutOptions
from katcore.pack_trie.packing import layout, por
from katcore.pack_trie.tree import TokenTree
from katcore.pack_trie.trie import merge
from katcore.records import Pack, Trajectory
from katcore.streams import Line


class StatsRow(msgspec.Struct, kw_only=True):
    """One group of trajectories, or one pack."""

    name: str
    samples: int
    terms: int
    flat: int
    unique: int
    por: float


class Stats(msgspec.Struct, kw_only=True):
    """All rows and their sum; `packs` rows of at most `budget` tokens, of which `over_budget` hold a larger tree."""

    rows: list[StatsRow]
    total: StatsRow  # unique: without what packs repeat
    packs: int
    over_budget: int
    budget: int
    repeated: int  # tokens that packs compute more than once
    err: float  # effective reuse: 1 - (unique + repeated) / flat
    ceiling: float  # 1 / (1 - POR): the most that sharing can gain, in tokens
    unreadable: int  # trajectories without exact tokens


def tabulate(lines: Iterable[Line], options: LayoutOptions) -> Stats:
    """The stream's figures, trajectories cut and laid out as the options say; InputError when there is nothing."""
    packs = Packs()
    trees: dict[str, list[TokenTree]] = {}
    waiting: dict[str, int] = {}
    groups: list[StatsRow] = []
    leaves: list[Leaves] = []
    unreadable = 0

    def settle(name: str, members: list[TokenTree]) -> None:
        if members:
            trie, _ = merge(members)
            groups.append(_of_group(name, members, len(trie)))
            leaves.append(Leaves.of(trie))

    for line in lines:
        record = line.record
        if isinstance(record, Pack):
            packs.add(record)
        elif isinstance(record, Trajectory):
            members = trees.setdefault(record.group_id, [])
            waiting[record.group_id] = waiting.get(record.group_id, record.group_size) - 1
            try:
                members.append(TokenTree.of(record))
            except RecordError:
                unreadable += 1
            if waiting[record.group_id] <= 0:
                settle(record.group_id, trees.pop(record.group_id))
                del waiting[record.group_id]
    for name, members in trees.items():
        settle(name, members)
    packs.close()
    if not (packs.rows or groups or unreadable):
        raise InputError("no trajectories and no packs in the input")
    return _summed(packs, groups, leaves, options, unreadable)


def _summed(
    packs: Packs, groups: list[StatsRow], leaves: list[Leaves], options: LayoutOptions, unreadable: int
) -> Stats:
    rows = packs.rows + groups
    laid = layout(leaves, options)
    flat, unique = sum(row.flat for row in rows), sum(row.unique for row in rows) - packs.repeated
    repeated = packs.repeated + laid.repeated
    above = sum(size > options.budget for cut in laid.cuts for size in cut.sizes)
    return Stats(
        rows=rows,
        total=StatsRow(
            name="total",
            samples=len(packs.samples) + sum(row.samples for row in groups),
            terms=sum(row.terms for row in rows),
            flat=flat,
            unique=unique,
            por=por(unique, flat),
        ),
        packs=len(packs.rows) + len(laid.rows),
        over_budget=sum(row.unique > options.budget for row in packs.rows) + above,
        budget=options.budget,
        repeated=repeated,
        err=por(unique + repeated, flat),
        ceiling=flat / unique if unique else 1.0,
        unreadable=unreadable,
    )


class Packs:
    """The packs of a stream, and what those of one step repeat: the tokens of one step are held until it ends."""

    def __init__(self) -> None:
        self.rows: list[StatsRow] = []
        self.repeated = 0
        self.samples: set[tuple[int, str, int]] = set()  # step, trajectory, which of its paths
        self.step = -1
        self.trees: dict[str, list[TokenTree]] = {}

    def add(self, pack: Pack) -> None:
        """Add one pack, as a row and to what its step repeats."""
        if pack.step != self.step:
            self.close()
            self.step = pack.step
        stats = pack.stats
        self.rows.append(
            StatsRow(name=pack.id, samples=len(pack.samples), terms=len(pack.term_token), flat=stats.flat,
                unique=stats.unique, por=stats.por)
        )  # fmt: skip
        seen: dict[str, int] = {}
        for sample in pack.samples:
            seen[sample.trajectory_id] = seen.get(sample.trajectory_id, -1) + 1
            self.samples.add((pack.step, sample.trajectory_id, seen[sample.trajectory_id]))
        for group, tree in _trees(pack):
            self.trees.setdefault(group, []).append(tree)

    def close(self) -> None:
        """Count what the packs of the step repeat, and drop its tokens."""
        for parts in self.trees.values():
            if len(parts) > 1:
                self.repeated += sum(len(part.tokens) for part in parts) - len(merge(parts)[0])
        self.trees = {}


def _trees(pack: Pack) -> Iterator[tuple[str, TokenTree]]:
    """The trees of a pack by the group that is trained on them, as chains of tokens with nothing sampled."""
    tokens, parent, end = (np.array(x, np.int32) for x in (pack.tokens, pack.parent, pack.end))
    first = np.ones(len(parent), bool)
    first[1:] = (parent[1:] != np.arange(len(parent) - 1)) | (end[1:] != end[:-1])
    start = np.flatnonzero(first)
    above = np.where(parent[start] < 0, -1, (np.cumsum(first) - 1)[parent[start]])
    roots = np.flatnonzero(above < 0)
    term_root = np.searchsorted(start[roots], np.array(pack.term_token, np.int64), side="right") - 1
    groups = {int(root): pack.samples[s].group_id for root, s in zip(term_root, pack.term_sample)}
    bounds = [*roots.tolist(), len(start)]
    stops = [*start.tolist(), len(tokens)]
    nothing = np.empty(0, np.int32)
    for k, (a, b) in enumerate(pairwise(bounds)):
        yield (
            groups.get(k, ""),
            TokenTree(
                nodes=(),
                parent=tuple(np.where(above[a:b] < 0, -1, above[a:b] - a).tolist()),
                start=tuple(stop - stops[a] for stop in stops[a : b + 1]),
                tokens=tokens[stops[a] : stops[b]],
                sampled=nothing.astype(np.int64),
                sampled_node=nothing,
                turn=nothing,
                engine_logprob=nothing.astype(np.float32),
                version=[],
            ),
        )


def _of_group(name: str, members: list[TokenTree], unique: int) -> StatsRow:
    flat = sum(tree.flat for tree in members)
    terms = sum(len(tree.sampled) for tree in members)
    return StatsRow(name=name, samples=len(members), terms=terms, flat=flat, unique=unique, por=por(unique, flat))


def table(stats: Stats) -> str:
    """The figures as text for people: a line for each row, the sum, and what the sum means."""
    rows = [*stats.rows, stats.total]
    width = max(len(row.name) for row in rows)
    lines = [f"{'':<{width}} {'samples':>8} {'terms':>10} {'flat':>11} {'unique':>11} {'POR':>7}"]
    for row in rows:
        lines.append(
            f"{row.name:<{width}} {row.samples:>8} {row.terms:>10} {row.flat:>11} {row.unique:>11} {row.por:>7.3f}"
        )
    over = f", {stats.over_budget} of them over it" if stats.over_budget else ""
    if stats.repeated:
        lines.append(f"{stats.repeated} tokens are repeated; ERR {stats.err:.3f} of a POR of {stats.total.por:.3f}")
    lines.append(
        f"{stats.packs} packs of at most {stats.budget} tokens{over}; sharing gains at most {stats.ceiling:.2f}x"
    )
    if stats.unreadable:
        lines.append(f"{stats.unreadable} trajectories have no exact tokens and are not counted")
    return "\n".join(lines)
