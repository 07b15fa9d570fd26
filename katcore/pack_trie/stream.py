"""A stream of trajectories, interleaved as they finish, and of text samples becomes a stream of packs.

A group is settled when `group_size` members have come, or at the end of the input: memory holds the open groups and
the trees of one step. A step is `groups_per_step` kept groups; its packs are written once it is whole, because each
carries its denominators. A text sample is a group of its own. Tasks are not forwarded: nothing after a pack refers to
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec

from katcore.errors import InputError, KatError, RecordError, Rejected, UsageError
from katcore.pack_trie.group import GroupTree, Member, settle
from katcore.pack_trie.imitated import left_out
from katcore.pack_trie.objective import PackObjective
from katcore.pack_trie.objectives import OBJECTIVES
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.packing import packs
from katcore.pack_trie.tree import TokenTree
from katcore.pool import Item, unforeseen
from katcore.records import Node, Pack, Sample, Scaffold, Trajectory, key_of
from katcore.streams import Line

if TYPE_CHECKING:
    from katcore.model.folder import ChatModel
    from katcore.pack_trie.render import Renderer

Count = Callable[[str, int], None]
LARGEST_REWARD = 1e30
"""Its square is still a number: advantages divide by a standard deviation."""


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


def items(
    lines: Iterable[Line],
    settings: PackOptions,
    count: Count = lambda name, n: None,
    chat: ChatModel | None = None,
) -> Iterator[Item]:
    """One item for each pack and for each record that is not in one; InputError ends the stream.

    `chat` renders text; without one, the small model shipped with KAT does. `count` is told of trajectories, samples,
    groups, groups_dropped, groups_zero_variance, trees_over_budget, where attempts are cut subtrees_dropped, of a
    teacher's turns_not_imitated, of what the objective counts (`outcomes_unknown`), and of what `packs` counts.
    """
    objective = OBJECTIVES[settings.objective]
    if settings.credit.baseline == "trie" and objective.advantages is not None and objective.branch_advantages is None:
        raise UsageError(f"{settings.objective} has one advantage a segment", hint="leave out --baseline trie")
    reader = Reader(settings, Tokenizer(chat.digest if chat else ""), chat)
    trees: list[GroupTree] = []
    step = 0
    for event in groups(lines, reader, count):
        if isinstance(event, Item):
            yield event
            continue
        tree, away = _settled(event, settings, count)
        yield from away
        if tree is not None:
            trees.append(tree)
        if trees and len(trees) == settings.groups_per_step:
            yield from _step(trees, step, reader.tokenizer.digest, settings, count)
            trees, step = [], step + 1
    if trees:
        yield from _step(trees, step, reader.tokenizer.digest, settings, count)


def groups(lines: Iterable[Line], reader: Reader, count: Count) -> Iterator[Group | Item]:
    """Groups as they become whole, and an item for each record that no group can take."""
    waiting: dict[str, Group] = {}
    for line in lines:
        record = line.record
        if isinstance(record, Sample):
            count("samples", 1)
            made = _read(reader.sample, line, record)
            yield made if isinstance(made, Item) else Group(1, members=[made])
        if not isinstance(record, Trajectory):
            continue
        count("trajectories", 1)
        group = waiting.setdefault(record.group_id, Group(record.group_size))
        if record.id in group.ids:
            yield _away(line, Rejected("duplicate", "its group has this trajectory already"))
            continue
        group.ids.add(record.id)
        group.seen += 1
        made = _read(reader.trajectory, line, record)
        if isinstance(made, Item):
            yield made
        else:
            group.members.append(made)
            for name, number in reader.objective.tally(record.nodes).items():
                count(name, number)
            if _is_text(record) and (turns := left_out(record)):
                count("turns_not_imitated", turns)
        if group.seen >= group.size:
            yield waiting.pop(record.group_id)
    yield from waiting.values()


def _read(read: Callable[[Line, Any], Member], line: Line, record: Any) -> Member | Item:
    """A record as a member, or the reason why it is none. InputError ends the stream, a mistake of ours does not."""
    try:
        return read(line, record)
    except RecordError as error:
        return _away(line, error)
    except KatError:
        raise
    except Exception as error:  # noqa: BLE001 - messages are free-form, templates are other people's
        return _away(line, unforeseen(error))


@dataclass
class Tokenizer:
    """The one tokenizer that a stream may have: the one asked for, else the first that a record names."""

    digest: str = ""

    def check(self, line: Line, found: str) -> None:
        """InputError for tokens of another tokenizer."""
        self.digest = self.digest or found
        if found and found != self.digest:
            raise InputError(
                f"{line.source}: line {line.number}: tokenizer {found[:12]} is not {self.digest[:12]}",
                hint="pack the trajectories of each model apart, and give --model the folder that made them",
            )


@dataclass
class Reader:
    """Reads records as members of groups. InputError when the objective cannot be computed from such a stream."""

    settings: PackOptions
    tokenizer: Tokenizer
    chat: ChatModel | None = None

    @property
    def objective(self) -> PackObjective:
        """The objective whose packs are made."""
        return OBJECTIVES[self.settings.objective]

    @cached_property
    def renderer(self) -> Renderer:
        """The renderer of text, loaded when the first text comes."""
        from katcore.model.folder import load
        from katcore.pack_trie.render import Renderer

        return Renderer(self.chat or load())

    def sample(self, line: Line, sample: Sample) -> Member:
        """A text sample, as the only attempt of a group; RecordError when it cannot be rendered."""
        self._check_text(line, f"sample {sample.id}")
        attempt = Trajectory(
            id=sample.id, task_id="", group_id=sample.id, scaffold=Scaffold(name=""), model="", domain=sample.domain
        )  # fmt: skip
        return Member(attempt, TokenTree.of_nodes(self.renderer.sample(sample)), line, sample.weight)

    def trajectory(self, line: Line, trajectory: Trajectory) -> Member:
        """A trajectory with its tokens, those of text made now; RecordError when it contradicts itself."""
        where = f"{line.source}: line {line.number}: trajectory {trajectory.id}"
        if trajectory.verdict is None and self.objective.needs_reward:
            hint = f"{self.settings.objective} needs rewards: run kat-verify first"
            raise InputError(f"{where} has no verdict", hint=hint)
        if trajectory.verdict is not None and abs(trajectory.verdict.reward) > LARGEST_REWARD:
            raise RecordError("reward", f"{trajectory.verdict.reward:g} is too large to compare")
        if _is_text(trajectory):
            self._check_text(line, f"trajectory {trajectory.id}")
            return Member(trajectory, _trained(trajectory, self.renderer.trajectory(trajectory)), line)
        self.tokenizer.check(line, trajectory.tokenizer)
        nodes = _without_corrections(trajectory.nodes) if self.objective.needs_logprobs else trajectory.nodes
        member = Member(trajectory, _trained(trajectory, nodes), line)
        self._check_tokens(member.tree)
        if self.objective.needs_logprobs and not member.masked:
            self._check_policy(where, member.tree)
        return member

    def _check_text(self, line: Line, what: str) -> None:
        if self.objective.needs_logprobs:
            raise InputError(
                f"{line.source}: line {line.number}: {what} is text and has no log-probs of the policy",
                hint=self._own_tokens,
            )
        self.tokenizer.check(line, self.renderer.chat.digest)

    def _check_tokens(self, tree: TokenTree) -> None:
        """RecordError for a token that the model of --model has not; without --model nobody knows its vocabulary."""
        size = self.chat.vocabulary if self.chat else 0
        largest = int(tree.tokens.max(initial=-1))
        if size and largest >= size:
            raise RecordError("tokens", f"{largest} is no token id: the model has {size} tokens")

    def _check_policy(self, where: str, tree: TokenTree) -> None:
        for node in tree.nodes:
            if node.sampled and (node.engine_logprobs is None or node.origin != "engine"):
                raise InputError(
                    f"{where}: node {node.id} is {node.origin} and has no log-probs of the policy",
                    hint=self._own_tokens,
                )

    @property
    def _own_tokens(self) -> str:
        return f"{self.settings.objective} trains on what the policy itself sampled; --for sft takes this"


def _trained(trajectory: Trajectory, nodes: list[Node]) -> TokenTree:
    """The tree of what the agent got: of an answer that it did not wait for nothing is trained."""
    tree = TokenTree.of_nodes(nodes)
    unseen = {call.node for call in trajectory.calls if call.delivered is False}
    return tree.part([node.id not in unseen for node in tree.nodes]) if unseen else tree


def _without_corrections(nodes: list[Node]) -> list[Node]:
    """Steps of the policy that a reference's replaced are context to it, not what it sampled (method.md § 5.2)."""
    if not {"engine", "reference"} <= {node.origin for node in nodes if node.sampled}:
        return nodes
    context: dict[str, Any] = {"sampled": [], "engine_logprobs": None, "versions": []}
    return [msgspec.structs.replace(node, **context) if node.origin == "reference" else node for node in nodes]


def _is_text(trajectory: Trajectory) -> bool:
    """Whether no node has tokens: the engine was somebody else's."""
    return bool(trajectory.nodes) and all(node.token_ids is None for node in trajectory.nodes)


def _settled(group: Group, settings: PackOptions, count: Count) -> tuple[GroupTree | None, list[Item]]:
    settled = settle(group.members, settings)
    count("groups", 1)
    count("groups_dropped", int(settled.tree is None))
    count("groups_zero_variance", int(settled.zero_variance))
    if OBJECTIVES[settings.objective].parts is not None:
        count("subtrees_dropped", settled.subtrees_dropped)
    count("trees_over_budget", int(settled.tree is not None and len(settled.tree.trie) > settings.layout.budget))
    return settled.tree, [_away(member.line, reason) for member, reason in settled.away]


def _step(trees: list[GroupTree], step: int, tokenizer: str, settings: PackOptions, count: Count) -> Iterator[Item]:
    for pack in packs(trees, step, tokenizer, settings, count):
        yield Item(key_of(pack), payload=pack)


def _away(line: Line, reason: RecordError | Rejected) -> Item:
    record: Any = line.record
    return Item(key_of(record), payload=reason, raw=line.raw, line=line.number, source=line.source)
