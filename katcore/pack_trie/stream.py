"""A stream of trajectories, interleaved as they finish, becomes a stream of packs.

A group is settled when `group_size` members have come, or at the end of the input: memory holds the open groups and
the trees of one step. A step is `groups_per_step` kept groups; its packs are written once it is whole, because each
carries its denominators. Tasks are not forwarded: nothing after a pack refers to them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from katcore.errors import InputError, RecordError, Rejected
from katcore.pack_trie.group import Member, Tree, settle
from katcore.pack_trie.objectives import OBJECTIVES
from katcore.pack_trie.packing import packs
from katcore.pack_trie.settings import Settings
from katcore.pack_trie.tree import TokenTree
from katcore.pool import Item
from katcore.records import Pack, Sample, Trajectory
from katcore.streams import Line

Count = Callable[[str, int], None]


@dataclass
class Group:
    """An open group: `seen` counts the members that could not be read too."""

    size: int
    seen: int = 0
    ids: set[str] = field(default_factory=set)
    members: list[Member] = field(default_factory=list)


def emit(item: Item) -> Iterator[Pack]:
    """The item's pack, or the reason why there is none."""
    if isinstance(item.payload, Exception):
        raise item.payload
    yield item.payload


def items(lines: Iterable[Line], settings: Settings, count: Count = lambda name, n: None) -> Iterator[Item]:
    """One item for each pack and for each record that is not in one; InputError ends the stream.

    `count` is told of trajectories, groups, groups_dropped, groups_zero_variance, trees_over_budget, and of what
    `packs` counts.
    """
    tokenizer = Tokenizer(settings.tokenizer)
    trees: list[Tree] = []
    step = 0
    for event in groups(lines, settings, tokenizer, count):
        if isinstance(event, Item):
            yield event
            continue
        tree, away = _settled(event, settings, count)
        yield from away
        if tree is not None:
            trees.append(tree)
        if trees and len(trees) == settings.groups_per_step:
            yield from _step(trees, step, tokenizer.digest, settings, count)
            trees, step = [], step + 1
    if trees:
        yield from _step(trees, step, tokenizer.digest, settings, count)


def groups(lines: Iterable[Line], settings: Settings, tokenizer: Tokenizer, count: Count) -> Iterator[Group | Item]:
    """Groups as they become whole, and an item for each record that no group can take."""
    waiting: dict[str, Group] = {}
    for line in lines:
        record = line.record
        if isinstance(record, Sample):
            yield _away(line, RecordError("render", "a text sample must be rendered, which is not supported yet"))
        if not isinstance(record, Trajectory):
            continue
        count("trajectories", 1)
        group = waiting.setdefault(record.group_id, Group(record.group_size))
        if record.id in group.ids:
            yield _away(line, Rejected("duplicate", "its group has this trajectory already"))
            continue
        group.ids.add(record.id)
        group.seen += 1
        tokenizer.check(line, record)
        try:
            group.members.append(Member(record, _readable(line, record, settings), line))
        except RecordError as error:
            yield _away(line, error)
        if group.seen >= group.size:
            yield waiting.pop(record.group_id)
    yield from waiting.values()


@dataclass
class Tokenizer:
    """The one tokenizer of a stream: what was asked for, else the first that is named."""

    digest: str = ""

    def check(self, line: Line, trajectory: Trajectory) -> None:
        """InputError for a trajectory of another tokenizer."""
        self.digest = self.digest or trajectory.tokenizer
        if trajectory.tokenizer and trajectory.tokenizer != self.digest:
            raise InputError(
                f"{line.source}: line {line.number}: tokenizer {trajectory.tokenizer[:12]} is not {self.digest[:12]}",
                hint="pack the trajectories of each model apart, and give --model the folder that made them",
            )


def _readable(line: Line, trajectory: Trajectory, settings: Settings) -> TokenTree:
    """The trajectory's tokens; InputError when the objective cannot be computed from such a stream at all."""
    objective = OBJECTIVES[settings.objective]
    where = f"{line.source}: line {line.number}: trajectory {trajectory.id}"
    if trajectory.verdict is None and objective.needs_reward:
        raise InputError(f"{where} has no verdict", hint=f"{settings.objective} needs rewards: run kat-verify first")
    tree = TokenTree.of(trajectory)
    masked = trajectory.verdict is not None and trajectory.verdict.masked
    if objective.needs_logprobs and not masked:
        for node in tree.nodes:
            if node.sampled and (node.engine_logprobs is None or node.origin != "engine"):
                raise InputError(
                    f"{where}: node {node.id} is {node.origin} and has no log-probs of the policy",
                    hint=f"{settings.objective} trains on what the policy itself sampled; --for sft takes this",
                )
    return tree


def _settled(group: Group, settings: Settings, count: Count) -> tuple[Tree | None, list[Item]]:
    settled = settle(group.members, settings)
    count("groups", 1)
    count("groups_dropped", int(settled.tree is None))
    count("groups_zero_variance", int(settled.zero_variance))
    count("trees_over_budget", int(settled.tree is not None and len(settled.tree.trie) > settings.budget))
    return settled.tree, [_away(member.line, reason) for member, reason in settled.away]


def _step(trees: list[Tree], step: int, tokenizer: str, settings: Settings, count: Count) -> Iterator[Item]:
    for pack in packs(trees, step, tokenizer, settings, count):
        yield Item(f"kat.pack/1:{pack.id}", payload=pack)


def _away(line: Line, reason: RecordError | Rejected) -> Item:
    record: Any = line.record
    return Item(f"{line.kind}:{record.id}", payload=reason, raw=line.raw, line=line.number)
