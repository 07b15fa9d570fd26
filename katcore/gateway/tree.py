"""The calls of one rollout as a tree of messages with their exact tokens.

In: the messages of a prompt, then the completion that was sampled for it. Out: ids for the engine, and the nodes of
kat.trajectory. A prompt is matched with the deepest known path by what its messages say; only what is new gets new
nodes; what does not extend a leaf becomes a branch where it parts, or a root of its own. Nothing is ever removed.
Invariant, checked at every call: the ids from root to node are what the engine saw.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from katcore.gateway.messages import key_of, text_of, tools_key
from katcore.gateway.prompt import Delta, extend
from katcore.model.folder import ChatModel
from katcore.model.template import NotAnExtension
from katcore.records import Boundary, Json, Node, Origin, Outcome, ToolCall


@dataclass(frozen=True)
class Prompt:
    """A prompt in the tree: the node it ends at, its ids with the opening of the assistant's turn, and what is new."""

    node: int
    ids: list[int]
    opening: list[int]
    fresh: list[int]
    outcomes: list[tuple[int, int, Outcome]]


@dataclass(frozen=True)
class Sampled:
    """A completion: ids as sampled, the message they say, and what the engine told of them."""

    message: Json
    token_ids: list[int]
    tool_calls: list[ToolCall]
    origin: Origin
    logprobs: list[float] | None = None
    versions: list[tuple[int, str]] = field(default_factory=list)


class Tree:
    """The nodes of one rollout; `nodes[i].id == i`, parents come first."""

    def __init__(self, chat: ChatModel, outcome: Callable[[str], Outcome] | None = None) -> None:
        self.chat = chat
        self.nodes: list[Node] = []
        self._outcome = outcome
        self._keys: list[str] = []
        self._tools: list[str] = []  # of the root above each node
        self._children: dict[int | None, list[int]] = {}
        self._open: set[int] = set()  # nodes whose ids come with those of a later message
        self._completions: set[int] = set()
        self._branches = 0
        self._last: int | None = None

    # ------------------------------------------------------------------ reading

    def path(self, node: int | None) -> list[Node]:
        """The nodes from the root to this one."""
        found = []
        while node is not None:
            found.append(self.nodes[node])
            node = self.nodes[node].parent
        return found[::-1]

    def ids(self, node: int | None) -> list[int]:
        """The tokens from the root to the end of this node."""
        return [token for each in self.path(node) for token in each.token_ids or []]

    def find(self, messages: list[Json], tools: list[Json] | None) -> list[int]:
        """The deepest known path that these messages begin with, as node ids; of equals, the latest."""
        keys, given = [key_of(message) for message in messages], tools_key(tools)
        best: list[int] = []
        stack: list[list[int]] = [[]]
        while stack:
            path = stack.pop()
            if len(path) > len(best) and path[-1] not in self._open:
                best = path
            if len(path) == len(keys):
                continue
            for child in self._children.get(path[-1] if path else None, []):
                if self._keys[child] == keys[len(path)] and self._tools[child] == given:
                    stack.append([*path, child])
        return best

    # ------------------------------------------------------------------ growing

    def prompt(self, messages: list[Json], tools: list[Json] | None, turn: int) -> Prompt:
        """Find what is known of a prompt and add nodes for the rest of it."""
        path = self.find(messages, tools)
        delta, path = self._extend(messages, tools, path)
        at = path[-1] if path else None
        boundary, lineage = self._branch(at, messages, tools) if delta.pieces else ("none", "")
        fresh: list[int] = []
        outcomes: list[tuple[int, int, Outcome]] = []
        for piece in delta.pieces:
            for index in range(piece.start, piece.stop):
                last = index == piece.stop - 1
                at = self._add(at, messages[index], tools, piece.ids if last else [], turn, lineage)
                fresh.append(at)
                self._open |= set() if last else {at}
                outcomes += self._note_outcome(at)
        if fresh:
            self.nodes[fresh[0]].boundary = boundary
        assert at is not None
        return Prompt(at, self.ids(at) + delta.opening, delta.opening, fresh, outcomes)

    def completion(self, prompt: Prompt, sampled: Sampled, turn: int) -> Node:
        """Add the node of a completion: the opening of the turn as context, then what was sampled."""
        forks = bool(self._children.get(prompt.node))
        parent = self.nodes[prompt.node]
        lineage = self._new_lineage("branch") if forks else parent.lineage
        start = len(prompt.opening)
        node = Node(
            id=len(self.nodes),
            parent=prompt.node,
            role="assistant",
            message=sampled.message,
            token_ids=prompt.opening + sampled.token_ids,
            sampled=[(start, start + len(sampled.token_ids))] if sampled.token_ids else [],
            engine_logprobs=sampled.logprobs,
            versions=[(start + offset, version) for offset, version in sampled.versions],
            tool_calls=[_shifted(call, start) for call in sampled.tool_calls],
            turn=turn,
            lineage=lineage,
            origin=sampled.origin,
        )
        self._insert(node, key_of(sampled.message), self._tools[prompt.node])
        self._completions.add(node.id)
        self._last = node.id
        if self.ids(node.id) != prompt.ids + sampled.token_ids:
            raise AssertionError("the tree's tokens are not those that the engine saw")
        return node

    def _extend(self, messages: list[Json], tools: list[Json] | None, path: list[int]) -> tuple[Delta, list[int]]:
        """The new ids after the deepest node of the path that the template can go on from."""
        while True:
            try:
                return extend(self.chat, messages, len(path), tools, self._closed(path)), path
            except NotAnExtension:
                path = path[:-1]
                while path and path[-1] in self._open:
                    path = path[:-1]

    def _closed(self, path: list[int]) -> bool:
        if not path or path[-1] not in self._completions:
            return True
        node = self.nodes[path[-1]]
        return bool(node.sampled) and (node.token_ids or [])[-1] in self.chat.stop_ids

    def _add(
        self, parent: int | None, message: Json, tools: list[Json] | None, ids: list[int], turn: int, lineage: str
    ) -> int:
        node = Node(
            id=len(self.nodes),
            parent=parent,
            role=str(message.get("role")),
            message=message if parent is not None or not tools else {**message, "tools": tools},
            token_ids=ids,
            turn=turn,
            lineage=lineage,
        )
        self._insert(node, key_of(message), tools_key(tools))
        return node.id

    def _insert(self, node: Node, key: str, tools: str) -> None:
        self.nodes.append(node)
        self._keys.append(key)
        self._tools.append(tools)
        self._children.setdefault(node.parent, []).append(node.id)

    # ------------------------------------------------------------------ branches and outcomes

    def _new_lineage(self, kind: str) -> str:
        self._branches += 1
        return f"{kind}-{self._branches}"

    def _branch(self, at: int | None, messages: list[Json], tools: list[Json] | None) -> tuple[Boundary, str]:
        """Why a prompt parts from what is known (`none` when it goes on from a leaf), and the name of its lineage."""
        if not self.nodes:
            return "none", "main"
        if at is not None and not self._children.get(at):
            return "none", self.nodes[at].lineage
        kind = self._new_root(messages, tools) if at is None else self._fork(at)
        return kind, self._new_lineage("branch" if kind == "none" else kind)

    def _fork(self, at: int) -> Boundary:
        """Sampled turns of the last call that are gone from this prompt: the agent has rewritten its history."""
        kept = {node.id for node in self.path(at)}
        return "compaction" if any(node.sampled and node.id not in kept for node in self.path(self._last)) else "none"

    def _new_root(self, messages: list[Json], tools: list[Json] | None) -> Boundary:
        same = any(self._keys[root] == key_of(messages[0]) for root in self._children[None])
        if same:
            return "mode"
        return "subagent" if tools else "title"

    def _note_outcome(self, at: int) -> Iterator[tuple[int, int, Outcome]]:
        """A tool result says how the call that it answers went."""
        message = self.nodes[at].message or {}
        if message.get("role") != "tool" or self._outcome is None:
            return
        for node in reversed(self.path(at)):
            for index, call in enumerate(node.tool_calls):
                if call.id == message.get("tool_call_id"):
                    if call.outcome is None:
                        call.outcome = self._outcome(text_of(message.get("content")))
                        yield node.id, index, call.outcome
                    return


def _shifted(call: ToolCall, by: int) -> ToolCall:
    span = None if call.span is None else (call.span[0] + by, call.span[1] + by)
    return ToolCall(id=call.id, name=call.name, span=span, outcome=call.outcome)
