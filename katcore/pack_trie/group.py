"""One task's samples: which of them train, their advantages, their token trie and their terms."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
import numpy as np

from katcore.errors import Rejected
from katcore.pack_trie.objective import PackObjective, Parts
from katcore.pack_trie.objectives import OBJECTIVES
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.terms import TermTable, joined, terms_of
from katcore.pack_trie.tree import Index, TokenTree
from katcore.pack_trie.trie import Trie, merge
from katcore.records import PackSample, StepCounts, Trajectory
from katcore.streams import Line


@dataclass(frozen=True)
class Member:
    """A trajectory of an open group, with the line that it came from. Of a text sample the trajectory has no nodes."""

    trajectory: Trajectory
    tree: TokenTree
    line: Line
    weight: float = 1.0
    """The factor on the cross-entropy weight of the member's tokens."""

    @property
    def masked(self) -> bool:
        """Whether the attempt is no evidence about the policy, because the infrastructure failed."""
        return self.trajectory.verdict is not None and self.trajectory.verdict.masked


@dataclass(frozen=True)
class GroupTree:
    """A group's trie with what is trained on it; a tree of one pack row."""

    trie: Trie
    terms: TermTable
    samples: list[PackSample]
    tips: Index  # the last token of each path of each trajectory, into the trie
    counts: StepCounts

    @property
    def flat(self) -> int:
        """Number of tokens on all root-to-leaf paths: what path-by-path training computes."""
        return int((self.trie.depth[self.tips] + 1).sum())


@dataclass(frozen=True)
class Settled:
    """The outcome of a group: its tree, if there is one, and the members that are turned away."""

    tree: GroupTree | None
    away: list[tuple[Member, Rejected]]
    zero_variance: bool = False
    subtrees_dropped: int = 0


def settle(members: list[Member], settings: PackOptions) -> Settled:
    """Choose a group's members, weigh their tokens and merge their trees; the order of arrival does not matter."""
    members = sorted(members, key=lambda m: (m.trajectory.sample_index, m.trajectory.attempt, m.trajectory.id))
    objective = OBJECTIVES[settings.objective]
    away: list[tuple[Member, Rejected]] = []
    masked: list[Member] = []
    kept: list[Member] = []
    for member in members:
        verdict = member.trajectory.verdict
        if member.masked:
            masked.append(member)
            away.append((member, Rejected("verdict", f"masked: {verdict.reason if verdict else ''}")))
        elif reason := objective.turn_away(verdict, settings):
            away.append((member, Rejected("reward", reason)))
        else:
            kept.append(member)
    if objective.choose is not None:
        refusals = objective.choose([m.tree for m in kept], _rewards(kept), settings)
        away += [(m, Rejected(*refusal)) for m, refusal in zip(kept, refusals) if refusal]
        kept = [m for m, refusal in zip(kept, refusals) if not refusal]
    if kept and len(kept) < objective.least:
        reason = f"its group has {len(kept)} unmasked samples, {settings.objective} needs {objective.least}"
        return Settled(None, away + [(m, Rejected("group", reason)) for m in kept])
    if not any(len(m.tree.sampled) for m in kept):
        return Settled(None, away + [(m, Rejected("tokens", "nothing in its group was sampled")) for m in kept])
    rewards = _rewards(kept)
    advantages = None if objective.advantages is None else objective.advantages(rewards)
    tree, dropped = _tree(kept, masked, advantages, settings)
    if advantages is not None and settings.credit.baseline == "trie" and any(advantages):
        tree = _by_branch(tree, kept, rewards, objective)
    return Settled(tree, away, advantages is not None and not any(advantages), dropped)


def _rewards(members: list[Member]) -> list[float]:
    """The members' rewards, 0 for records without a verdict, which no objective that compares rewards takes."""
    return [m.trajectory.verdict.reward if m.trajectory.verdict else 0.0 for m in members]


def _by_branch(tree: GroupTree, kept: list[Member], rewards: list[float], objective: PackObjective) -> GroupTree:
    """The tree with advantages by token: the terms' weights are multiplied by them, and each sample's own becomes 1."""
    if objective.branch_advantages is None:
        return tree
    _, places = merge([m.tree for m in kept])
    owner = {m.trajectory.id: i for i, m in enumerate(kept)}
    terms, rl = tree.terms, np.array(tree.terms.rl)
    of_member = np.array([owner.get(sample.trajectory_id, -1) for sample in tree.samples])[terms.sample]
    rows = [np.flatnonzero(of_member == i) for i in range(len(kept))]
    gains = objective.branch_advantages(rewards, places, tree.trie.parent, [terms.token[row] for row in rows])
    for row, gain in zip(rows, gains):
        rl[row] *= gain
    samples = [s if s.advantage is None else msgspec.structs.replace(s, advantage=1.0) for s in tree.samples]
    return replace(tree, terms=replace(terms, rl=rl), samples=samples)


def _tree(
    kept: list[Member], masked: list[Member], advantages: list[float] | None, settings: PackOptions
) -> tuple[GroupTree, int]:
    """The group's tree, and how many parts of its members were left out because nothing in them was sampled."""
    objective = OBJECTIVES[settings.objective]
    cut = [_parts(objective, member) for member in kept]
    parts = [(i, tree) for i, each in enumerate(cut) for tree in each.trees]
    trie, places = merge([tree for _, tree in parts])
    samples: list[PackSample] = []
    tables: list[TermTable] = []
    for (i, part), place in zip(parts, places):
        weights = objective.weigh(part, settings).scaled(kept[i].weight)
        found = terms_of(part, place, weights, len(samples), settings)
        tables += found
        samples += [_sample(kept[i], None if advantages is None else advantages[i])] * len(found)
    terms = joined(tables, [0] * len(tables), [0] * len(tables))
    counts = StepCounts(groups=1, samples=len(np.unique(terms.sample)), turns=terms.turns, trained_tokens=len(terms))
    samples += [_sample(m, None) for m in masked]
    tips = [place[[part.start[leaf + 1] - 1 for leaf in part.leaves]] for (_, part), place in zip(parts, places)]
    return GroupTree(trie, terms, samples, np.concatenate(tips), counts), sum(each.dropped for each in cut)


def _parts(objective: PackObjective, member: Member) -> Parts:
    if objective.parts is None or not member.trajectory.nodes:
        return Parts([member.tree])
    return objective.parts(member.tree, member.trajectory.nodes)


def _sample(member: Member, advantage: float | None) -> PackSample:
    trajectory, verdict = member.trajectory, member.trajectory.verdict
    return PackSample(
        trajectory_id=trajectory.id,
        group_id=trajectory.group_id,
        reward=None if verdict is None else verdict.reward,
        advantage=advantage,
        masked=member.masked,
        reason=verdict.reason if verdict is not None and verdict.masked else "",
    )
