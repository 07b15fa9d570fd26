"""Whose conversation a branch is: names of lineages, and why each one parts from what was known.

In: where a prompt parts from the tree, and who asks, where the agent says so in a header. Out: a boundary (`subagent`,
`title`, `compaction`, `mode`, or `none`) and a name. Agents say little; the rest is read off the shape of their calls:

- a root of its own with tools is a sub-agent, unless it holds what was sampled before (the same agent in another mode);
- without tools it may be the call that writes a compaction's summary when it holds what was sampled before: as turns of
  its own, or quoted in one text. It is one if a later call goes on from what it says; if none does it was a side call
  (a title, a commit's message, a summary for people). All that knows only what the user said is a title at once;
- a prompt that leaves out sampled turns of its conversation's last call is a compaction; one that leaves out only what
  users or tools said (a note that changes each turn) is a branch;
- an assistant's turn that comes back changed is drift, and so named (`drift-1`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from katcore.gateway.messages import text_of
from katcore.records import Boundary, Json, Node

QUOTED = 2
"""How many sampled turns a text must repeat to count as a conversation; a title may be asked for after the first."""
PIECE = 12
"""The fewest characters by which a turn is recognised in another text."""
_PLAIN = re.compile(r"[^\"\\\n\t]+")


class Lineages:
    """Names the branches of one rollout's tree. Nodes are never changed here."""

    def __init__(self, nodes: list[Node]) -> None:
        self._nodes = nodes
        self._count = 0
        self._agents: dict[str, str] = {}  # by lineage
        self._last: dict[tuple[str, int], int] = {}  # an agent's last completion under a root
        self._with_tools = False
        self._roots: dict[int, Node] = {}
        self._summaries: dict[int, str] = {}  # completions that may be summaries -> a piece of what they say
        self.renamed: list[int] = []
        """Nodes whose lineage is another than when they were added; whoever writes that down clears it."""

    def name(self, kind: str) -> str:
        """A new name for a lineage of this kind: the kind and a number."""
        self._count += 1
        return f"{kind}-{self._count}"

    def root_of(self, node: int) -> Node:
        """The node at which the conversation of this one begins."""
        above = [node]
        while (at := above[-1]) not in self._roots and (parent := self._nodes[at].parent) is not None:
            above.append(parent)
        found = self._roots.get(at, self._nodes[at])
        self._roots.update(dict.fromkeys(above, found))
        return found

    def seen(self, node: int, agent: str, fresh: Sequence[int] = ()) -> None:
        """Note that `agent` sent a prompt that ends at this node."""
        self._went_on(fresh)
        self._agents.setdefault(self._nodes[node].lineage, agent)
        self._with_tools = self._with_tools or bool((self.root_of(node).message or {}).get("tools"))

    def answered(self, node: int) -> None:
        """Note that this completion is the last of its conversation so far."""
        root = self.root_of(node)
        short = root.boundary == "compaction" and not (root.message or {}).get("tools")
        if short and len({self._nodes[each].turn for each in self._path(node)}) == 1:
            self._summaries[node] = _piece(self._nodes[node].message or {})
        agent = self._agents.setdefault(self._nodes[node].lineage, self._agent_above(node))
        self._last[agent, root.id] = node

    def root(self, same_opening: bool, tools: bool, known_answers: int, text: str, agent: str) -> tuple[Boundary, str]:
        """Why a prompt begins a tree of its own. `known_answers` of its turns were sampled; `text` is what it says."""
        if tools and not self._with_tools:  # what came before was a check or a title: now the agent begins
            self._set_aside()
            return "none", "main"
        kind: Boundary = "subagent" if tools else "title"
        if self._summarised(text) or (not tools and (known_answers or self._quoted(text) >= QUOTED)):
            kind = "compaction"
        elif agent and agent not in self._agents.values():
            kind = "subagent"
        elif same_opening or (tools and known_answers):
            kind = "mode"
        return kind, self.name(kind)

    def settle(self) -> None:
        """Nothing follows any more: what nobody went on from was no compaction."""
        for node in list(self._summaries):
            name = self.name("title")
            for each in self._path(node):
                self._nodes[each].lineage = name
                self._nodes[each].boundary = "title" if self._nodes[each].parent is None else "none"
                self.renamed.append(each)
        self._summaries.clear()

    def _went_on(self, fresh: Sequence[int]) -> None:
        """Find the summaries that these new messages of a prompt repeat, or follow."""
        if not self._summaries or not fresh:
            return
        above = set(self._path(fresh[0]))
        text = "\n".join(text_of((self._nodes[node].message or {}).get("content")) for node in fresh)
        for node in [node for node in self._summaries if node in above or self._repeats(text, node)]:
            del self._summaries[node]

    def _summarised(self, text: str) -> bool:
        """Whether a text repeats what may be a summary."""
        return any(self._repeats(text, node) for node in self._summaries)

    def _repeats(self, text: str, node: int) -> bool:
        piece = self._summaries[node]
        return len(piece) >= PIECE and piece in text

    def _quoted(self, text: str) -> int:
        """How many of the sampled turns a text repeats, by the longest plain piece of what each says or calls for."""
        pieces = {_piece(node.message or {}) for node in self._nodes if node.sampled or node.token_ids is None}
        return sum(piece in text for piece in pieces if len(piece) >= PIECE)

    def fork(self, at: int, agent: str, drifted: bool, repeated: Callable[[int], bool]) -> tuple[Boundary, str]:
        """Why a prompt parts from a path at this node; `repeated`: whether it says a node's message all the same."""
        lineage = self._nodes[at].lineage
        above = self._path(at)
        answers = any(self._nodes[node].role == "assistant" for node in above)
        if agent != self._agents.get(lineage, agent) or (lineage.startswith("subagent") and not answers):
            return "subagent", self.name("subagent")
        if drifted:
            return "none", self.name("drift")
        last = self._last.get((agent, above[-1]))
        gone = set(self._path(last)).difference(above) if last is not None else set()
        if any(self._nodes[node].role == "assistant" and not repeated(node) for node in gone):
            return "compaction", self.name("compaction")
        return "none", self.name("branch")

    def _set_aside(self) -> None:
        """Name the lineage that was taken for the main one a title, if it was one answer and no conversation."""
        main = [node for node in self._nodes if node.lineage == "main"]
        if sum(node.role == "assistant" for node in main) > 1:
            return
        name = self.name("title")
        for node in main:
            node.lineage = name
            node.boundary = "title" if node.parent is None else node.boundary
        self._agents[name] = self._agents.pop("main", "")
        self.renamed += [node.id for node in main]

    def _path(self, node: int | None) -> list[int]:
        """The nodes from this one up to its root."""
        found = []
        while node is not None:
            found.append(node)
            node = self._nodes[node].parent
        return found

    def _agent_above(self, node: int) -> str:
        parent = self._nodes[node].parent
        return "" if parent is None else self._agents.get(self._nodes[parent].lineage, "")


def _piece(message: Json) -> str:
    """The longest piece of an assistant's message that reads the same however it is quoted; "" for other messages."""
    if message.get("role") != "assistant":
        return ""
    calls = (call.get("function") or {} for call in message.get("tool_calls") or [])
    said = [text_of(message.get("content")), *(str(function.get("arguments") or "") for function in calls)]
    return max((piece.strip() for text in said for piece in _PLAIN.findall(text)), key=len, default="")
