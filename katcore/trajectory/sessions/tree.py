"""The calls of a session as nodes: what calls begin with alike is there once, what parts becomes a branch.

In: calls in order, each with all that the model was shown. Out: nodes of text and their calls. A branch has the
boundary that its call has; one of a sub-agent has `subagent`. A tool call's outcome is read off the call itself and the
result that answers it, as the gateway reads it. An answer that is there already is not put there twice: sessions that
are resumed repeat what came before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from katcore.records import Boundary, Call, Json, Node, ToolCall
from katcore.scaffold.outcomes import Rules, of_call, of_result
from katcore.trajectory.formats.kept import EPOCH
from katcore.trajectory.sessions import ModelCall


def grown(calls: Iterable[ModelCall], dialect: str, rules: Rules) -> tuple[list[Node], list[Call]]:
    """The nodes and calls of a session."""
    tree = _Tree(dialect, rules)
    for call in calls:
        tree.add(call)
    return tree.nodes, tree.calls


class _Tree:
    def __init__(self, dialect: str, rules: Rules) -> None:
        self.nodes: list[Node] = []
        self.calls: list[Call] = []
        self._dialect, self._rules = dialect, rules
        self._known: dict[tuple[str, int | None, str], int] = {}  # agent, parent, message -> node
        self._parents: set[int | None] = set()
        self._agents: dict[str, str] = {}  # agent -> the lineage that it began with
        self._branches = 0
        self._texts: dict[int, tuple[Json, str]] = {}  # by the message's identity

    def add(self, call: ModelCall) -> None:
        at, rest = self._walk(call)
        lineage, boundary = self._lineage(call, at) if rest else (self.nodes[at or 0].lineage, "none")
        for place, message in enumerate(rest):
            at = self._node(call, at, message, lineage, boundary if place == 0 else "none")
        answer = self._written(call.answer)
        if at is None or (call.agent, at, answer) in self._known:
            return
        if at in self._parents:  # the same was asked twice
            lineage = self._name("branch")
        number = len(self.calls)
        at = self._node(call, at, call.answer, lineage, "none")
        made = call.answer.get("tool_calls") or []
        self.nodes[at].tool_calls = [_call(each, call.tools) for each in made]
        self.calls.append(
            Call(
                id=number,
                node=at,
                dialect=self._dialect,
                started_at=call.started_at or EPOCH,
                usage=call.usage,
                finish_reason=call.finish_reason,
                engine=call.model,
            )
        )

    def _walk(self, call: ModelCall) -> tuple[int | None, list[Json]]:
        at: int | None = None
        for place, message in enumerate(call.messages):
            found = self._known.get((call.agent, at, self._written(message)))
            if found is None:
                return at, call.messages[place:]
            at = found
        return at, []

    def _lineage(self, call: ModelCall, at: int | None) -> tuple[str, Boundary]:
        """The name of the branch that a call goes on with below a node, and the boundary where it begins."""
        if call.agent not in self._agents:
            self._agents[call.agent] = self._name("subagent") if call.agent else "main"
            return self._agents[call.agent], "subagent" if call.agent else call.boundary
        if at is not None and at not in self._parents:
            return self.nodes[at].lineage, "mode" if call.boundary == "mode" else "none"
        if call.agent:  # a branch of a sub-agent is still none of the agent's own
            return self._name("subagent"), call.boundary
        return self._name("branch" if call.boundary == "none" else call.boundary), call.boundary

    def _name(self, kind: str) -> str:
        self._branches += 1
        return f"{kind}-{self._branches}"

    def _node(self, call: ModelCall, parent: int | None, message: Json, lineage: str, boundary: Boundary) -> int:
        node = Node(
            id=len(self.nodes),
            parent=parent,
            role=message["role"],
            message={**message, "tools": call.tools} if parent is None and call.tools else message,
            turn=len(self.calls),
            lineage=lineage,
            boundary=boundary,
            origin="external",
        )
        self.nodes.append(node)
        if message["role"] == "tool":
            self._answered(parent, message)
        self._parents.add(parent)
        self._known[call.agent, parent, self._written(message)] = node.id
        return node.id

    def _answered(self, at: int | None, result: Json) -> None:
        while at is not None:
            node = self.nodes[at]
            for call in node.tool_calls:
                if call.id == result.get("tool_call_id"):
                    text, failed = str(result.get("content") or ""), bool(result.get("is_error"))
                    if call.outcome is None and (found := of_result(text, self._rules, failed=failed)) is not None:
                        call.outcome, call.outcome_by = found
                    return
            at = node.parent

    def _written(self, message: Json) -> str:
        """A message as text by which it is compared; calls share the messages that they were shown."""
        found = self._texts.get(id(message))
        if found is None:
            found = self._texts[id(message)] = (message, json.dumps(message, sort_keys=True))
        return found[1]


def _call(given: Json, tools: list[Json] | None) -> ToolCall:
    name, arguments = given["function"]["name"], given["function"].get("arguments")
    outcome, by = of_call(name, arguments, tools) or (None, None)
    return ToolCall(id=given["id"], name=name, outcome=outcome, outcome_by=by)
