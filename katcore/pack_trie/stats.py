"""How much trajectories or packs share: unique and flat tokens, POR, rows.

In: a stream of trajectories (grouped and merged as for packing, whatever their verdicts) or of packs. Out: rows as
plain objects, and a table for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from katcore.errors import InputError, RecordError
from katcore.pack_trie.packing import first_fit, por
from katcore.pack_trie.tree import TokenTree
from katcore.pack_trie.trie import merge
from katcore.records import Pack, Trajectory
from katcore.streams import Line


class Row(msgspec.Struct, kw_only=True):
    """One group of trajectories, or one pack."""

    name: str
    samples: int
    terms: int
    flat: int
    unique: int
    por: float


class Stats(msgspec.Struct, kw_only=True):
    """All rows and their sum; `packs` rows of at most `budget` tokens, of which `over_budget` hold a larger tree."""

    rows: list[Row]
    total: Row
    packs: int
    over_budget: int
    budget: int
    ceiling: float  # 1 / (1 - POR): the most that sharing can gain, in tokens
    unreadable: int  # trajectories without exact tokens


def tabulate(lines: Iterable[Line], budget: int) -> Stats:
    """The stream's figures; InputError when it has neither trajectories nor packs."""
    packs: list[Row] = []
    trees: dict[str, list[TokenTree]] = {}
    waiting: dict[str, int] = {}
    groups: list[Row] = []
    unreadable = 0
    for line in lines:
        record = line.record
        if isinstance(record, Pack):
            packs.append(_of_pack(record))
        elif isinstance(record, Trajectory):
            members = trees.setdefault(record.group_id, [])
            waiting[record.group_id] = waiting.get(record.group_id, record.group_size) - 1
            try:
                members.append(TokenTree.of(record))
            except RecordError:
                unreadable += 1
            if waiting[record.group_id] <= 0:
                groups += _of_group(record.group_id, trees.pop(record.group_id))
                del waiting[record.group_id]
    for name, members in trees.items():
        groups += _of_group(name, members)
    if not (packs or groups or unreadable):
        raise InputError("no trajectories and no packs in the input")
    return _summed(packs, groups, budget, unreadable)


def _summed(packs: list[Row], groups: list[Row], budget: int, unreadable: int) -> Stats:
    rows = packs + groups
    flat, unique = sum(row.flat for row in rows), sum(row.unique for row in rows)
    return Stats(
        rows=rows,
        total=Row(
            name="total",
            samples=sum(row.samples for row in rows),
            terms=sum(row.terms for row in rows),
            flat=flat,
            unique=unique,
            por=por(unique, flat),
        ),
        packs=len(packs) + len(first_fit([row.unique for row in groups], budget)),
        over_budget=sum(row.unique > budget for row in rows),
        budget=budget,
        ceiling=flat / unique if unique else 1.0,
        unreadable=unreadable,
    )


def _of_pack(pack: Pack) -> Row:
    stats = pack.stats
    return Row(
        name=pack.id, samples=len(pack.samples), terms=len(pack.term_token), flat=stats.flat, unique=stats.unique,
        por=stats.por,
    )  # fmt: skip


def _of_group(name: str, members: list[TokenTree]) -> Iterator[Row]:
    if not members:
        return
    trie, _ = merge(members)
    flat = sum(tree.flat for tree in members)
    terms = sum(len(tree.sampled) for tree in members)
    yield Row(
        name=name, samples=len(members), terms=terms, flat=flat, unique=len(trie), por=por(len(trie), flat)
    )  # fmt: skip


def table(stats: Stats) -> str:
    """For people: a line a row, the sum, and what the sum means."""
    rows = [*stats.rows, stats.total]
    width = max(len(row.name) for row in rows)
    lines = [f"{'':<{width}} {'samples':>8} {'terms':>10} {'flat':>11} {'unique':>11} {'POR':>7}"]
    for row in rows:
        lines.append(
            f"{row.name:<{width}} {row.samples:>8} {row.terms:>10} {row.flat:>11} {row.unique:>11} {row.por:>7.3f}"
        )
    over = f", {stats.over_budget} of them over it" if stats.over_budget else ""
    lines.append(
        f"{stats.packs} packs of at most {stats.budget} tokens{over}; sharing gains at most {stats.ceiling:.2f}x"
    )
    if stats.unreadable:
        lines.append(f"{stats.unreadable} trajectories have no exact tokens and are not counted")
    return "\n".join(lines)
