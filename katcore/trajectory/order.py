"""The order of a trajectory's nodes and calls.

In: a kat.trajectory in any order, its nodes a tree. Out: the same tree, depth-first and numbered from 0, so that equal
trees are equal records and every path is a run of neighbours. Calls follow their start.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from katcore.errors import RecordError
from katcore.records import Call, Trajectory
from katcore.trajectory.paths import Paths


def ordered(trajectory: Trajectory) -> Trajectory:
    """Nodes depth-first, siblings by when the first call below them began; calls by start.

    RecordError where the nodes are no tree, or a call's start is no time.
    """
    calls = sorted(trajectory.calls, key=lambda call: (_start(call), call.id))
    tree = Paths(replace(trajectory, calls=calls))
    first: dict[int, tuple[int, int]] = {}
    for place, node in reversed(list(enumerate(tree.depth_first))):
        own = (tree.asked.get(node, len(calls)), place)
        first[node] = min([own, *(first[child] for child in tree.children.get(node, []))])
    found: list[int] = []
    stack = sorted(tree.children[None], key=first.__getitem__, reverse=True)
    while stack:
        found.append(stack.pop())
        stack += sorted(tree.children.get(found[-1], []), key=first.__getitem__, reverse=True)
    number = {node: place for place, node in enumerate(found)}
    nodes = [
        replace(node, id=number[node.id], parent=None if node.parent is None else number[node.parent])
        for node in map(tree.by_id.__getitem__, found)
    ]
    calls = [
        replace(call, id=place, node=None if call.node is None else number[call.node])
        for place, call in enumerate(calls)
    ]
    return replace(trajectory, nodes=nodes, calls=calls)


def _start(call: Call) -> datetime:
    try:
        return datetime.fromisoformat(call.started_at)
    except ValueError as error:
        raise RecordError("calls", f"call {call.id} started at {call.started_at!r}, which is no time") from error
