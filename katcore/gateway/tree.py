"""The calls of one rollout as a tree of messages with their exact tokens.

In: the messages of a prompt, then the completion that was sampled for it. Out: ids for the engine, and the nodes of
kat.trajectory. A prompt is matched with the deepest known path by what its messages say; only what is new gets new
nodes; what does not extend a leaf becomes a branch where it parts, or a root of its own. Nothing is ever removed.
Invariant, checked at every call: the ids from root to node are what the engine saw. Without a chat model (an outside
endpoint that tells no tokens) the tree has the same shape and no ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain

import msgspec

from katcore.engine.written import WrittenIds
from katcore.gateway.history import History
from katcore.gateway.incremental import IncrementalRenderer
from katcore.gateway.lineage import Lineages
from katcore.gateway.memo import Derived
from katcore.gateway.messages import call_id, key_of, text_of, tools_key
from katcore.gateway.prompt import Delta, Known, Piece
from katcore.gateway.voice import Voice
from katcore.model.folder import ChatModel
from katcore.model.template import NotAnExtension
from katcore.records import Boundary, Json, Node, Origin, Outcome, OutcomeBy, ToolCall
from katcore.scaffold.outcomes import Rules, of_call, of_result

Judgement = tuple[int, int, Outcome, OutcomeBy]


@dataclass(frozen=True)
class Prompt:
    """A prompt in the tree: the node it ends at, its ids with the opening of the assistant's turn, and what is new.

    `judged`: what it tells of earlier tool calls, as (node, number of the call, outcome, who says so).
    """

    node: int
    ids: WrittenIds
    opening: list[int]
    fresh: list[int]
    judged: list[Judgement]
    lineage: str = "main"


@dataclass(frozen=True)
class Sampled:
    """A completion: ids as sampled, the message they say, and what the engine told of them.

    `token_ids` None: an outside endpoint, which tells none. `target` False: context for what follows, not sampled.
    """

    message: Json
    token_ids: list[int] | None
    tool_calls: list[ToolCall]
    origin: Origin
    logprobs: list[float] | None = None
    versions: list[tuple[int, str]] = field(default_factory=list)
    target: bool = True


class RolloutTree:
    """The nodes of one rollout; `nodes[i].id == i`, parents come first."""

    def __init__(
        self,
        chat: ChatModel | None,
        history: History,
        rules: Rules | None = None,
        renderer: IncrementalRenderer | None = None,
    ) -> None:
        self.chat = chat
        self._renderer = renderer or IncrementalRenderer()
        self._key, self._tools_key = Derived(key_of), Derived(tools_key)
        self.nodes: list[Node] = []
        self.history: History = history
        self.lineages = Lineages(self.nodes)
        self._rules = rules
        self._asked: tuple[list[Json], tuple[str, ...]] = ([], ())  # the last messages, and their keys
        self._keys: list[str] = []
        self._tools: list[str] = []  # of the root above each node
        self._children: dict[int | None, list[int]] = {}
        self._open: set[int] = set()  # nodes whose ids come with those of a later message
        self._completions: set[int] = set()
        self._ids: dict[int, WrittenIds] = {}  # to the end of each conversation's last completion

    # ------------------------------------------------------------------ reading

    def path(self, node: int | None) -> list[Node]:
        """The nodes from the root to this one."""
        return list(self._upward(node))[::-1]

    def _upward(self, node: int | None) -> Iterator[Node]:
        """The nodes from this one to the root."""
        while node is not None:
            yield self.nodes[node]
            node = self.nodes[node].parent

    def ids(self, node: int | None) -> list[int]:
        """The token ids from the root to the end of this node."""
        known, rest = self._parted(node)
        return [*known, *rest]

    def _parted(self, node: int | None) -> tuple[WrittenIds, list[int]]:
        """The ids to the end of this node: those to the last completion above it, and the rest."""
        rest: list[list[int]] = []
        while node is not None and node not in self._ids:
            rest.append(self.nodes[node].token_ids or [])
            node = self.nodes[node].parent
        return WrittenIds() if node is None else self._ids[node], [token for ids in reversed(rest) for token in ids]

    def keys_of(self, messages: list[Json], tools: list[Json] | None) -> tuple[str, ...]:
        """What these messages and tools say, as keys that are equal where it is the same."""
        keys = (self._tools_key(tools), *map(self._key, messages))
        self._asked = messages, keys
        return keys

    def below(self, node: int | None, tools: list[Json] | None) -> list[Node]:
        """The nodes that follow this one under these tools, the latest last."""
        given = self._tools_key(tools)
        return [self.nodes[child] for child in self._children.get(node, []) if self._tools[child] == given]

    def written(self, messages: list[Json], node: int) -> dict[int, Json]:
        """The messages of the prompt that ends at this node which were sampled here, by place, as they were recorded.

        One that stands elsewhere in the tree (a shortened history) is the latest that says the same.
        """
        path = [each.id for each in self.path(node)]
        known = {self._keys[each]: each for each in sorted(self._completions)}
        found: dict[int, Json] = {}
        for place, message in enumerate(messages):
            at = path[place] if place < len(path) and path[place] in self._completions else None
            if at is None and message.get("role") == "assistant":
                at = known.get(self._key(message))
            if at is not None:
                found[place] = self.nodes[at].message or {}
        return found

    def find(self, messages: list[Json], tools: list[Json] | None) -> list[int]:
        """The deepest known path that these messages begin with, as node ids; of equals, the latest."""
        return self._find([self._key(message) for message in messages], self._tools_key(tools))

    def _find(self, keys: list[str], given: str) -> list[int]:
        best, depth = None, 0
        stack: list[tuple[int | None, int]] = [(None, 0)]
        while stack:
            at, size = stack.pop()
            if size > depth and at not in self._open:
                best, depth = at, size
            if size == len(keys):
                continue
            for child in self._children.get(at, []):
                if self._keys[child] == keys[size] and self._tools[child] == given:
                    stack.append((child, size + 1))
        return [node.id for node in self.path(best)]

    # ------------------------------------------------------------------ growing

    def prompt(
        self, messages: list[Json], tools: list[Json] | None, turn: int, agent: str = "", voice: Voice | None = None
    ) -> Prompt:
        """Find what is known of a prompt and add nodes for the rest. `agent`: the asker's id, where it has one.

        With a `voice` it is rendered by that one's template, and goes on from nothing that was not.
        """
        asked, known = self._asked
        given, *keys = known if asked is messages else self.keys_of(messages, tools)
        given += "" if voice is None else f" {voice.key}"
        delta, path = self._extend(messages, tools, self._find(keys, given), voice)
        at = path[-1] if path else None
        boundary, lineage = self._branch(path, messages, keys, tools, agent) if delta.pieces else ("none", "")
        fresh: list[int] = []
        judged: list[Judgement] = []
        for piece in delta.pieces:
            for index in range(piece.start, piece.stop):
                last = index == piece.stop - 1
                ids = None if self.chat is None else piece.ids if last else []
                message = messages[index] if at is not None or not tools else {**messages[index], "tools": tools}
                node = Node(id=len(self.nodes), parent=at, role=str(message.get("role")), message=message)
                node.token_ids, node.turn, node.lineage = ids, turn, lineage
                self._insert(node, keys[index], given)
                at = node.id
                fresh.append(at)
                self._open |= set() if last else {at}
                judged += self._judge(at)
        if fresh:
            self.nodes[fresh[0]].boundary = boundary
        assert at is not None
        self.lineages.seen(at, agent, fresh)
        above, rest = self._parted(at)
        return Prompt(at, above.then(rest + delta.opening), delta.opening, fresh, judged, self.nodes[at].lineage)

    def completion(self, prompt: Prompt, sampled: Sampled, turn: int, lineage: str = "") -> Node:
        """Add the node of a completion: the opening of the turn as context, then what was sampled.

        A completion with a `lineage` given is set aside: no later prompt goes on from it.
        """
        forks = bool(self._children.get(prompt.node))
        parent = self.nodes[prompt.node]
        start, ids = len(prompt.opening), sampled.token_ids
        node = Node(
            id=len(self.nodes),
            parent=prompt.node,
            role="assistant",
            message=sampled.message,
            token_ids=None if ids is None else prompt.opening + ids,
            sampled=[(start, start + len(ids))] if ids and sampled.target else [],
            engine_logprobs=sampled.logprobs if sampled.target else None,
            versions=[(start + offset, version) for offset, version in sampled.versions],
            tool_calls=self._checked(prompt.node, sampled, start),
            turn=turn,
            lineage=lineage or (self.lineages.name("branch") if forks else parent.lineage),
            origin=sampled.origin,
        )
        self._insert(node, "" if lineage else key_of(sampled.message), self._tools[prompt.node], hidden=bool(lineage))
        self._completions.add(node.id)
        if not lineage:
            self.lineages.answered(node.id)
        if ids is not None:
            self._remember(node, prompt.ids.then(ids))
        return node

    def _remember(self, node: Node, ids: WrittenIds) -> None:
        """Check the ids up to the end of a completion, and keep them instead of those up to the one before it."""
        if self.ids(node.id) != ids:
            raise AssertionError("the tree's tokens are not those that the engine saw")
        above = node.parent
        while above is not None and above not in self._ids:
            above = self.nodes[above].parent
        self._ids.pop(-1 if above is None else above, None)
        self._ids[node.id] = ids

    def _extend(
        self, messages: list[Json], tools: list[Json] | None, path: list[int], voice: Voice | None
    ) -> tuple[Delta, list[int]]:
        """The new ids after the deepest node of the path that the template can go on from."""
        if self.chat is None:
            return Delta([Piece(at, at + 1, []) for at in range(len(path), len(messages))]), path
        chat, renderer = (self.chat, self._renderer) if voice is None else (voice.chat, voice.renderer)
        while True:
            try:
                return renderer.extend(chat, messages, self._known(path), tools, self.history), path
            except NotAnExtension:
                path = path[:-1]
                while path and path[-1] in self._open:
                    path = path[:-1]

    def _known(self, path: list[int]) -> Known:
        """How many messages a path has, and how the last of them ends if it was sampled."""
        if not path or path[-1] not in self._completions:
            return Known(len(path))
        node = self.nodes[path[-1]]
        last = (node.token_ids or [])[-1:]
        assert self.chat is not None
        # An empty completion has no token of its own: what stands last is the opening of its turn.
        ended = bool(node.sampled or node.origin == "reference") and last[0] in self.chat.stop_ids
        return Known(len(path), last[0] if ended else None, not ended)

    def _insert(self, node: Node, key: str, tools: str, hidden: bool = False) -> None:
        self.nodes.append(node)
        self._keys.append(key)
        self._tools.append(tools)
        if not hidden:
            self._children.setdefault(node.parent, []).append(node.id)

    # ------------------------------------------------------------------ branches and outcomes

    def _branch(
        self, path: list[int], messages: list[Json], keys: list[str], tools: list[Json] | None, agent: str
    ) -> tuple[Boundary, str]:
        """Why a prompt parts from what is known (`none` when it goes on from a leaf), and the name of its lineage."""
        if not self.nodes:
            return "none", "main"
        at = path[-1] if path else None
        children = self._children.get(at, [])
        if at is None:
            same = any(self._keys[root] == keys[0] for root in children)
            answers = {self._keys[node] for node in self._completions}
            text = "\n".join(text_of(message.get("content")) for message in messages)
            return self.lineages.root(same, bool(tools), len(answers.intersection(keys)), text, agent)
        if not children:
            return "none", self.nodes[at].lineage
        following = messages[len(path)]
        if any(self._keys[child] == keys[len(path)] for child in children):  # the same turn, rendered anew
            return "none", self.lineages.name("rendered")
        answered = following.get("role") == "assistant" and any(child in self._completions for child in children)
        said = set(keys[len(path) :])
        return self.lineages.fork(at, agent, answered, lambda node: self._keys[node] in said)

    def _checked(self, prompt: int, sampled: Sampled, start: int) -> list[ToolCall]:
        """The calls of a completion, whose spans begin behind `start` ids, with what the tools shown say of them."""
        tools = (self.lineages.root_of(prompt).message or {}).get("tools")
        made = sampled.message.get("tool_calls") or []
        calls = [_shifted(call, start) for call in sampled.tool_calls]
        for call, given in zip(calls, made):
            function = given.get("function") or {}
            found = of_call(str(function.get("name") or ""), function.get("arguments"), tools)
            if found is not None and call.outcome is None:
                call.outcome, call.outcome_by = found
        return calls

    def _judge(self, at: int) -> Iterator[Judgement]:
        """Set the outcome of the call that the tool result at this node answers, where somebody tells it."""
        message = self.nodes[at].message or {}
        if message.get("role") != "tool":
            return
        # A shortened history holds a copy of the call: the sampled one is elsewhere.
        for node in chain(self._upward(at), reversed(self.nodes)):
            for index, call in enumerate(node.tool_calls):
                if call_id(call.id) == call_id(message.get("tool_call_id")):
                    text, failed = text_of(message.get("content")), bool(message.get("is_error"))
                    if call.outcome is None and (found := of_result(text, self._rules, failed=failed)) is not None:
                        call.outcome, call.outcome_by = found
                        yield node.id, index, *found
                    return


def _shifted(call: ToolCall, by: int) -> ToolCall:
    span = None if call.span is None else (call.span[0] + by, call.span[1] + by)
    return msgspec.structs.replace(call, span=span)
