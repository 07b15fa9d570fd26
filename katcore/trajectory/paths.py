"""A trajectory's nodes as paths, and a path as messages.

In: a kat.trajectory. Out: lists of nodes from a root to a leaf, and the messages of such a path in the OpenAI form.
Nodes may stand in any order; ids that are doubled, parents that are missing and cycles are RecordErrors. Nothing here
looks at tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from katcore.errors import RecordError
from katcore.records import Call, Json, Node, Trajectory

ASIDE = ("subagent", "title", "rejected")
"""Lineages that are not the agent's own conversation."""


@dataclass(frozen=True)
class Paths:
    """The tree of one trajectory. `depth_first` has every node once, a parent before its children."""

    trajectory: Trajectory

    @cached_property
    def by_id(self) -> dict[int, Node]:
        """Nodes by their id. RecordError where the nodes are no tree."""
        found = {node.id: node for node in self.trajectory.nodes}
        if len(found) < len(self.trajectory.nodes):
            raise RecordError("nodes", "two nodes have one id")
        for node in found.values():
            if node.parent is not None and node.parent not in found:
                raise RecordError("nodes", f"node {node.id} has a parent {node.parent} that is not there")
        return found

    @cached_property
    def children(self) -> dict[int | None, list[int]]:
        """Ids of the nodes below each node, in the order of the record; roots below None."""
        below: dict[int | None, list[int]] = {None: []}
        for node in self.by_id.values():
            below.setdefault(node.parent, []).append(node.id)
        return below

    @cached_property
    def depth_first(self) -> list[int]:
        """Ids, each path as a run. RecordError where nodes go round in a circle."""
        found: list[int] = []
        stack = self.children[None][::-1]
        while stack:
            found.append(stack.pop())
            stack += self.children.get(found[-1], [])[::-1]
        if len(found) < len(self.by_id):
            raise RecordError("nodes", "some nodes have no root above them")
        return found

    @cached_property
    def completions(self) -> set[int]:
        """Ids of nodes that a model wrote: sampled ones or answers of calls; if neither is known, all assistant's."""
        told = {call.node for call in self.trajectory.calls if call.node is not None}
        told |= {node.id for node in self.trajectory.nodes if node.sampled}
        return told or {node.id for node in self.trajectory.nodes if node.role == "assistant"}

    @cached_property
    def leaves(self) -> list[int]:
        """Ids of the nodes without a child, depth-first."""
        return [node for node in self.depth_first if node not in self.children]

    @cached_property
    def asked(self) -> dict[int, int]:
        """The place of each completion's call among the calls; of several, the first."""
        return {call.node: at for at, call in reversed([*enumerate(self.trajectory.calls)]) if call.node is not None}

    @cached_property
    def calls(self) -> dict[int, Call]:
        """The call of each completion."""
        return {node: self.trajectory.calls[at] for node, at in self.asked.items()}

    def path(self, node: int | None) -> list[Node]:
        """The nodes from the root to this one."""
        found = []
        while node is not None:
            found.append(self.by_id[node])
            node = found[-1].parent
        return found[::-1]

    @cached_property
    def all(self) -> list[list[Node]]:
        """One path for each leaf."""
        return [self.path(leaf) for leaf in self.leaves]

    @cached_property
    def main(self) -> list[Node]:
        """The conversation of the agent's last answer, with the results that followed; [] without a node.

        Sub-agents, titles, answers that a hook turned down and the calls that only write a summary are not the agent's
        own. After a compaction this path begins at the summary: what came before it is another path.
        """
        if not self.by_id:
            return []
        order = {node: place for place, node in enumerate(self.depth_first)}
        own = [node for node in order if not self.by_id[node].lineage.startswith(ASIDE)] or list(order)
        own = [node for node in own if node not in self._summaries] or own
        said = [node for node in own if node in self.completions] or own
        last = max(said, key=lambda node: (self.asked.get(node, -1), self.by_id[node].turn, order[node]))
        while below := [child for child in self.children.get(last, []) if self.by_id[child].role != "assistant"]:
            last = below[-1]
        return self.path(last)

    @cached_property
    def _summaries(self) -> set[int]:
        """Nodes of calls that ask for a summary: a tree of their own, with one answer, without the agent's tools."""
        found: set[int] = set()
        if not any((self.by_id[root].message or {}).get("tools") for root in self.children[None]):
            return found
        for root in self.children[None]:
            below = [root]
            for node in below:
                below += self.children.get(node, [])
            first = self.by_id[root]
            if first.boundary == "compaction" and not (first.message or {}).get("tools"):
                found |= set(below) if sum(node in self.completions for node in below) <= 1 else set()
        return found


def messages_of(path: Iterable[Node]) -> list[Json]:
    """The messages of a path; RecordError for a node that holds tokens alone. `tools` of the first are left out."""
    found = []
    for node in path:
        if node.message is None:
            raise RecordError("messages", f"node {node.id} has tokens and no message")
        found.append({"role": node.role} | {name: value for name, value in node.message.items() if name != "tools"})
    return found


def tools_of(path: Iterable[Node]) -> list[Json]:
    """The tools that the model was shown: they stand in the message of a path's root."""
    for node in path:
        tools = (node.message or {}).get("tools") or []
        if not isinstance(tools, list) or any(not isinstance(tool, dict) for tool in tools):
            raise RecordError("messages", f"the tools of node {node.id} are no list of objects")
        return list(tools)
    return []
