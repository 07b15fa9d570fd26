"""Shorter trajectories: the first turns or tokens of every path.

In: a kat.trajectory. Out: the same tree without what lies beyond a limit. A cut falls between exchanges only: an answer
of the model and the results of its tool calls stay together or go together. Boundaries (compaction, sub-agent, mode)
of what stays are as they were. `artifacts.trimmed` says what is gone; the verdict is that of the whole attempt, and
its rewards by turn are cut where turns are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from msgspec.structs import replace

from katcore.errors import RecordError, Rejected, UsageError
from katcore.records import Call, Json, Node, Trajectory, Verdict
from katcore.trajectory.paths import Paths


@dataclass(frozen=True)
class TrimLimits:
    """How much of each path stays; 0 is no limit. `main`: of all paths only the agent's own conversation stays."""

    turns: int = 0
    tokens: int = 0
    main: bool = False

    def check(self) -> None:
        """UsageError when nothing would be trimmed."""
        if not (self.turns or self.tokens or self.main):
            raise UsageError("nothing to trim", hint="say --turns N, --tokens N or --paths main")


def trim(trajectory: Trajectory, limits: TrimLimits) -> Trajectory:
    """The trajectory within its limits, itself when it already is. Rejected when no answer of the model would stay."""
    tree = Paths(trajectory)
    keep = _within(tree, limits)
    if not keep & tree.completions and tree.completions:
        raise Rejected("trim", "the first answer lies beyond the limit", {"nodes": len(trajectory.nodes)})
    if len(keep) == len(trajectory.nodes):
        return trajectory
    nodes = [node for node in trajectory.nodes if node.id in keep]
    calls = list(_calls(trajectory, keep))
    gone = [node for node in trajectory.nodes if node.id not in keep]
    told: Json = {name: value for name, value in (("turns", limits.turns), ("tokens", limits.tokens)) if value}
    told |= {"paths": "main"} if limits.main else {}
    told["dropped"] = {
        "nodes": len(gone),
        "turns": sum(node.id in tree.completions for node in gone),
        "calls": len(trajectory.calls) - len(calls),
        "tokens": sum(len(node.token_ids or ()) for node in gone),
    }
    before = trajectory.artifacts.get("trimmed")
    artifacts = trajectory.artifacts | {"trimmed": [*(before if isinstance(before, list) else []), told]}
    verdict = _verdict(trajectory.verdict, [node in keep for node in _turns(tree)])
    return replace(trajectory, nodes=nodes, calls=calls, artifacts=artifacts, verdict=verdict)


def _within(tree: Paths, limits: TrimLimits) -> set[int]:
    keep = set(tree.by_id)
    if limits.main:
        keep = {node.id for node in tree.main}
    if limits.turns:
        keep &= _first_turns(tree, limits.turns)
    if limits.tokens:
        keep &= _first_tokens(tree, limits.tokens)
    return keep - _left_over(tree, keep)


def _first_turns(tree: Paths, limit: int) -> set[int]:
    """Nodes with at most `limit` answers on their path, up to the results of the last one."""
    answers = _summed(tree, lambda node: int(node.id in tree.completions))
    return {node for node in answers if answers[node] <= limit}


def _first_tokens(tree: Paths, limit: int) -> set[int]:
    """Nodes of exchanges that end within `limit` tokens of their root."""
    if any(node.token_ids is None for node in tree.by_id.values()):
        raise RecordError("tokens", "text without tokens can be trimmed by turns only")
    ends = _summed(tree, lambda node: len(node.token_ids or ()))
    fits: dict[int, bool] = {}
    for node in reversed(tree.depth_first):
        below = tree.children.get(node, [])
        results = [child for child in below if tree.by_id[child].role == "tool"]
        whole = ends[node] <= limit and (len(results) < len(below) or not results)
        fits[node] = whole or any(fits[child] for child in results)
    kept: set[int] = set()
    for node in tree.depth_first:
        parent = tree.by_id[node].parent
        if fits[node] and (parent is None or parent in kept):
            kept.add(node)
    return kept


def _summed(tree: Paths, value: Callable[[Node], int]) -> dict[int, int]:
    """For each node the sum from its root to itself."""
    found: dict[int, int] = {}
    for node in tree.depth_first:
        parent = tree.by_id[node].parent
        found[node] = value(tree.by_id[node]) + (0 if parent is None else found[parent])
    return found


def _left_over(tree: Paths, keep: set[int]) -> set[int]:
    """Ids of the prompts whose answers are all trimmed away."""
    gone: set[int] = set()
    for node in reversed(tree.depth_first):
        below = tree.children.get(node, [])
        bare = all(child in gone or child not in keep for child in below)
        if below and bare and node not in tree.completions and tree.by_id[node].role != "tool":
            gone.add(node)
    return gone


def _calls(trajectory: Trajectory, keep: set[int]) -> Iterator[Call]:
    """Calls whose answer stays, and failed ones before the last of them."""
    last = max((place for place, call in enumerate(trajectory.calls) if call.node in keep), default=-1)
    for place, call in enumerate(trajectory.calls):
        if call.node in keep or (call.node is None and place < last):
            yield call


def _turns(tree: Paths) -> list[int]:
    """The completions in the order of the record, as `turn_rewards` counts them."""
    return [node.id for node in tree.trajectory.nodes if node.id in tree.completions]


def _verdict(verdict: Verdict | None, kept: list[bool]) -> Verdict | None:
    if verdict is None or verdict.turn_rewards is None or len(verdict.turn_rewards) != len(kept):
        return verdict
    return replace(verdict, turn_rewards=[reward for reward, stays in zip(verdict.turn_rewards, kept) if stays])
