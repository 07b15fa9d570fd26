"""What `show` draws, before anything is placed: a trie, who passes through it, what each token counts, what it says.

In: the members of a group, and what they would be packed for, or a pack. Out: a `Picture`. Nothing here knows of
pixels. A pack has neither text nor roles: its picture has no messages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from katcore.errors import InputError
from katcore.pack_trie.group import Member, settle
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.tree import Floats, Index, Ints
from katcore.pack_trie.trie import Trie, merge
from katcore.records import Node, Pack

CONTEXT, SAMPLED, UNTRAINED, TRAINED = range(4)
"""States of a token: in a prompt only; sampled, with no objective chosen; sampled and given no loss; trained."""

WEIGHS = {"grpo": "advantage", "opd": "distillation weight"}
TEXT = 400  # characters of a message that are kept


@dataclass(frozen=True)
class Sample:
    """One trajectory's name, reward and outcome; a field is None where it is not known."""

    name: str
    reward: float | None = None
    passed: bool | None = None
    advantage: float | None = None
    masked: bool = False


@dataclass(frozen=True)
class End:
    """Where one branch of a sample ends, after this token; `final` where the attempt itself ended."""

    token: int
    sample: int
    final: bool
    lineage: str = "main"


@dataclass(frozen=True)
class Message:
    """One message of the picture, with its text shortened."""

    role: str
    turn: int
    lineage: str
    text: str


@dataclass(frozen=True)
class Picture:
    """A trie of N tokens with its samples, messages and weights, as far as they are known."""

    title: str
    notes: list[str]
    trie: Trie
    flat: int  # tokens of all root-to-leaf paths
    samples: list[Sample]
    through: list[Index]  # for each sample the tokens that it passes through, each once, rising
    ends: list[End]
    state: Ints  # [N]
    weight: Floats  # [N] mean over the samples that train the token; 0 where nobody does
    weighs: str  # what the weight is; "" when nothing is trained
    turn_starts: Index  # tokens that begin a completion
    boundaries: list[tuple[int, str]]  # (token, kind) where a message begins that does not extend the one before
    messages: list[Message]
    message_of: Index  # [N] index into messages, -1 where unknown


def of_group(members: Sequence[Member], settings: PackOptions | None = None) -> Picture:
    """All members of a group, those too that the objective would turn away: their tokens are untrained."""
    members = sorted(members, key=lambda m: (m.trajectory.sample_index, m.trajectory.attempt, m.trajectory.id))
    trie, places = merge([m.tree for m in members])
    state = np.full(len(trie), CONTEXT, np.int32)
    message_of = np.full(len(trie), -1)
    messages: list[Message] = []
    named = len({call.name for m in members for node in m.tree.nodes for call in node.tool_calls}) > 1
    for member, place in reversed(list(zip(members, places))):  # where texts differ, the first member's is shown
        state[place[member.tree.sampled]] = SAMPLED if settings is None else UNTRAINED
        for node, a, b in zip(member.tree.nodes, member.tree.start, member.tree.start[1:]):
            message_of[place[a:b]] = len(messages)
            messages.append(Message(node.role, node.turn, node.lineage, text_of(node, named)[:TEXT]))
    first = members[0].trajectory
    scaffold = f"{first.scaffold.name} {first.scaffold.version}".strip()
    again = len({m.trajectory.sample_index for m in members}) < len(members)
    samples = [_sample(m, again) for m in members]
    picture = Picture(
        title=f"{first.task_id} · {scaffold} · model {first.model}",
        notes=_passed(samples),
        trie=trie,
        flat=sum(m.tree.flat for m in members),
        samples=samples,
        through=[np.unique(place) for place in places],
        ends=[end for i, (m, place) in enumerate(zip(members, places)) for end in _ends(i, m, place)],
        state=state,
        weight=np.zeros(len(trie), np.float32),
        weighs="",
        turn_starts=np.unique(np.concatenate([_turn_starts(m, place) for m, place in zip(members, places)])),
        boundaries=_boundaries(members, places, trie),
        messages=messages,
        message_of=message_of,
    )
    return picture if settings is None else _packed(picture, members, places, settings)


def _packed(picture: Picture, members: Sequence[Member], places: Sequence[Index], settings: PackOptions) -> Picture:
    """The same group with the terms that packing it would make."""
    settled = settle(list(members), settings)
    kind = (
        f"{settings.objective}, baseline {settings.credit.baseline}"
        if settings.objective == "grpo"
        else settings.objective
    )
    away = len({m.trajectory.id for m, _ in settled.away if not m.masked})
    notes = [*picture.notes, f"for {kind}", *([f"{away} turned away"] if away else [])]
    if settled.tree is None:
        return replace(picture, notes=notes, weighs=WEIGHS.get(settings.objective, "loss weight"))
    gone = {m.trajectory.id for m, _ in settled.away}
    kept = [i for i, m in enumerate(members) if m.trajectory.id not in gone]
    packed, inner = merge([members[i].tree for i in kept])
    outer = np.zeros(len(packed), np.int64)  # [tokens of the pack's trie] where the picture has them
    for i, place in zip(kept, inner):
        outer[place] = places[i]
    terms, samples = settled.tree.terms, settled.tree.samples
    gain = np.array([1.0 if s.advantage is None else s.advantage for s in samples])[terms.sample]
    advantage = {s.trajectory_id: s.advantage for s in samples}
    picture = _weighed(picture, outer[terms.token], terms.rl * gain + terms.ce + terms.kl, settings.objective)
    return replace(
        picture,
        notes=notes,
        samples=[replace(s, advantage=advantage.get(m.trajectory.id)) for s, m in zip(picture.samples, members)],
    )


def of_pack(pack: Pack, group: str | None = None) -> Picture | None:
    """A pack's trees, or those of one group; None when it has no such group. Masked samples have no tokens in it.

    InputError when its arrays contradict each other.
    """
    _check(pack)
    term = np.array(pack.term_token, np.int64)
    names = list(dict.fromkeys(s.trajectory_id for s in pack.samples if group in (None, s.group_id)))
    known = {name: i for i, name in enumerate(names)}
    sample = np.array([known.get(s.trajectory_id, -1) for s in pack.samples], np.int64)[pack.term_sample]
    gain = np.array([1.0 if s.advantage is None else s.advantage for s in pack.samples])[pack.term_sample]
    weight = np.array(pack.rl_weight) * gain + np.array(pack.ce_weight) + np.array(pack.kl_weight)
    turn = np.array(pack.term_turn, np.int64)
    trie = Trie(*(np.array(a, np.int32) for a in (pack.tokens, pack.parent, pack.depth, pack.end)))
    trie, place = _trees_with(trie, term[sample >= 0])
    mine = sample >= 0
    term, sample, weight, turn = place[term[mine]], sample[mine], weight[mine], turn[mine]
    drawn = np.unique(sample).tolist()
    if not drawn:
        return None
    of = {s.trajectory_id: s for s in pack.samples}
    rows = [np.flatnonzero(sample == i) for i in drawn]
    counts = [_marked(trie, term[row]) for row in rows]
    masked = sum(of[name].masked for name in names)
    ends = [end for k, row in enumerate(rows) for end in _last(k, trie, counts[k], term[row], turn[row])]
    flat = sum(int(trie.depth[end.token]) + 1 for end in ends)  # as far as terms tell where paths end
    groups = list(dict.fromkeys(of[name].group_id for name in names))
    picture = Picture(
        title=" · ".join([f"pack {pack.id}", groups[0] if len(groups) == 1 else f"{len(groups)} groups"]),
        notes=[f"{len(drawn)} samples", f"for {pack.objective}", f"step {pack.step}"]
        + ([f"{masked} masked"] if masked else []),
        trie=trie,
        flat=flat if len(trie) < len(pack.tokens) else pack.stats.flat,
        samples=[
            Sample(names[i][:8], of[names[i]].reward, None, of[names[i]].advantage, of[names[i]].masked) for i in drawn
        ],
        through=[np.flatnonzero(count[trie.end] > count[:-1]) for count in counts],
        ends=ends,
        state=np.full(len(trie), CONTEXT, np.int32),
        weight=np.zeros(len(trie), np.float32),
        weighs="",
        turn_starts=np.unique(np.concatenate([_changes(term[row], turn[row]) for row in rows])),
        boundaries=[],
        messages=[],
        message_of=np.full(len(trie), -1),
    )  # fmt: skip
    return _weighed(picture, term, weight, pack.objective)


def _weighed(picture: Picture, token: Index, weight: Floats, objective: str) -> Picture:
    """The mean weight of each trained token. Supervised terms of weight 0 are masked: they are not trained."""
    count = np.bincount(token, minlength=len(picture.trie))
    total = np.bincount(token, weights=weight, minlength=len(picture.trie))
    mean = total / np.maximum(count, 1)
    state = picture.state.copy()
    state[count > 0] = TRAINED
    if objective != "grpo":
        state[(count > 0) & (mean == 0)] = UNTRAINED
    weighs = WEIGHS.get(objective, "loss weight")
    return replace(picture, state=state, weight=mean.astype(np.float32), weighs=weighs)


# ------------------------------------------------------------------------------------------- of a group


def _sample(member: Member, again: bool) -> Sample:
    """A sample by its number, and by its attempt where numbers occur again."""
    trajectory, verdict = member.trajectory, member.trajectory.verdict
    name = f"{trajectory.sample_index}" + (f".{trajectory.attempt}" if again else "")
    if verdict is None:
        return Sample(name)
    return Sample(name, verdict.reward, verdict.passed, masked=verdict.masked)


def _passed(samples: Sequence[Sample]) -> list[str]:
    counted = [s for s in samples if s.passed is not None and not s.masked]
    masked = sum(s.masked for s in samples)
    passed = f"{len(samples)} samples" + (f", {sum(bool(s.passed) for s in counted)} passed" if counted else "")
    return [passed + (f", {masked} masked" if masked else "")]


def _ends(sample: int, member: Member, place: Index) -> list[End]:
    """The ends of a sample's branches; the attempt ended in the last of them that is not a side branch."""
    tree = member.tree
    lineages = [tree.nodes[k].lineage for k in tree.leaves]
    whole = [i for i, name in enumerate(lineages) if not name.startswith(("subagent", "title"))]
    final = (whole or range(len(lineages)))[-1] if lineages else -1
    return [End(int(place[tree.start[k + 1] - 1]), sample, i == final, lineages[i]) for i, k in enumerate(tree.leaves)]


def _turn_starts(member: Member, place: Index) -> Index:
    tree = member.tree
    return place[tree.sampled[np.flatnonzero(np.diff(tree.sampled_node, prepend=-1))]]


def _boundaries(members: Sequence[Member], places: Sequence[Index], trie: Trie) -> list[tuple[int, str]]:
    """(token, kind) of each boundary message, where it parts from its sibling, as both often begin alike."""
    children = np.bincount(trie.parent[trie.parent >= 0], minlength=len(trie) + 1)
    begins = (trie.parent < 0) | (children[trie.parent] > 1)
    found: dict[tuple[int, str], None] = {}
    for member, place in zip(members, places):
        tree = member.tree
        open_: list[
            str
        ] = []  # of each message whose tokens stand with one below it: the boundary that is still to mark
        for node, above, (a, b) in zip(tree.nodes, tree.parent, pairwise(tree.start)):
            kind = node.boundary if node.boundary != "none" else open_[above] if above >= 0 else ""
            open_.append("" if a < b else kind)
            if kind and a < b:
                own = place[a:b]
                found[int(own[begins[own].argmax()]), kind] = None
    return list(found)


def text_of(node: Node, named: bool = True) -> str:
    """What a message says: its text, and its tool calls as `name arguments`, or as arguments alone.

    Any shape of message is taken.
    """
    message = node.message if isinstance(node.message, dict) else {}
    parts = [_text(message.get("reasoning_content")), _text(message.get("content"))]
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            name = _text(function.get("name")) if named else ""
            parts.append(f"{name} {_arguments(function.get('arguments'))}".strip())
    return "\n".join(part for part in parts if part)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content.strip() if isinstance(content, str) else ""


def _arguments(arguments: Any) -> str:
    """The values of a call's arguments, without the JSON around them."""
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return str(arguments)
    if isinstance(arguments, dict):
        return " ".join(value if isinstance(value, str) else json.dumps(value) for value in arguments.values())
    return json.dumps(arguments)


# -------------------------------------------------------------------------------------------- of a pack


def _check(pack: Pack) -> None:
    tokens, terms = len(pack.tokens), len(pack.term_token)
    arrays = (pack.parent, pack.depth, pack.end)
    table = (pack.term_sample, pack.term_turn, pack.rl_weight, pack.ce_weight, pack.kl_weight)
    fits = all(len(a) == tokens for a in arrays) and all(len(a) == terms for a in table)
    fits = fits and all(-1 <= parent < i < end <= tokens for i, (parent, end) in enumerate(zip(pack.parent, pack.end)))
    fits = fits and all(depth == (pack.depth[p] + 1 if p >= 0 else 0) for depth, p in zip(pack.depth, pack.parent))
    fits = fits and all(0 <= token < tokens for token in pack.term_token)
    if not fits or not all(0 <= sample < len(pack.samples) for sample in pack.term_sample):
        raise InputError(f"pack {pack.id}: its arrays do not fit together")


def _trees_with(trie: Trie, tokens: Index) -> tuple[Trie, Index]:
    """The trees that hold these tokens, and [N] where each old token is now."""
    roots = np.flatnonzero(trie.parent < 0)
    wanted = np.unique(np.searchsorted(roots, tokens, side="right") - 1)
    keep = np.zeros(len(trie), bool)
    for root in roots[wanted].tolist():
        keep[root : trie.end[root]] = True
    place = np.cumsum(keep) - 1
    parent = trie.parent[keep]
    end = place[trie.end[keep] - 1] + 1
    moved = np.where(parent < 0, -1, place[parent]).astype(np.int32)
    return Trie(trie.tokens[keep], moved, trie.depth[keep], end.astype(np.int32)), place


def _marked(trie: Trie, tokens: Index) -> Index:
    """[N + 1] how many of these tokens stand before each place."""
    marked = np.zeros(len(trie), np.int64)
    marked[tokens] = 1
    return np.concatenate([[0], np.cumsum(marked)])


def _last(sample: int, trie: Trie, count: Index, tokens: Index, turns: Index) -> list[End]:
    """The ends of a sample: its trained tokens that have none of its own below them."""
    last = count[trie.end[tokens]] == count[tokens + 1]
    leaves = dict(zip(tokens[last].tolist(), turns[last].tolist()))
    final = max(leaves, key=lambda token: (leaves[token], token))
    return [End(token, sample, token == final) for token in sorted(leaves)]


def _changes(tokens: Index, turns: Index) -> Index:
    """The first token of each turn."""
    _, first = np.unique(turns, return_index=True)
    return tokens[first]
