"""Which turns of a teacher's text are imitated: those that it ended itself.

In: a trajectory without tokens. Out: the nodes that are targets, and how many of its turns are none because the
endpoint refused, filtered or cut them. They stay what they were to the turns after them: context.
"""

from __future__ import annotations

from katcore.records import Trajectory

NOT_ENDED = frozenset({"refusal", "content_filter", "length"})
"""Finish reasons of turns that are no example: what stands there is a refusal, or not the whole of an answer."""


def imitated(trajectory: Trajectory) -> set[int]:
    """The nodes where model calls ended by themselves; without calls all assistant's messages."""
    if not trajectory.calls:
        return {node.id for node in trajectory.nodes}
    ended = {call.node for call in trajectory.calls if call.finish_reason not in NOT_ENDED}
    return {node for node in ended if node is not None}


def left_out(trajectory: Trajectory) -> int:
    """How many of a trajectory's turns are not imitated."""
    return sum(call.node is not None and call.finish_reason in NOT_ENDED for call in trajectory.calls)
