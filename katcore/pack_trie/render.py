"""Text as the model would have seen and written it: messages and plain text to nodes with tokens.

In: a kat.sample, or a kat.trajectory of a teacher that gave text without tokens, and the model's tokenizer and chat
template. Out: nodes like those of an exact trajectory, without log-probs; `tree.py` reads them on.

What is trained is found by the difference of two renders. For every assistant's message: the prompt is the conversation
before it with the opening of the turn, as `encode(text)` gives its ids, which is what an engine gets; the target is
what the template adds for the message, up to and with the stop token. The template's own rest of the turn (a newline,
mostly) is nobody's target. So each target stands behind exactly the ids that inference would have had there:

- where the tokenizer would merge the end of the prompt with the beginning of the answer, it does not: the prompt's ids
  are fixed before the answer is sampled. The answer is tokenised alone;
- where the next prompt does not begin with the ids that there were (a template that drops the thinking of earlier
  turns, a merge across the end of an answer), it begins a path of its own. `trie.py` merges what both have in common;
- where the template ends a turn with nothing (the stop token belongs to the next message), the stop token is added:
  the one that opens the message that would follow, a tool's after tool calls, else the user's, else the end of
  sequence.

Nothing is guessed: a message that does not go on from the opening of the turn is a RecordError.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec
import numpy as np

from katcore.errors import InputError, RecordError
from katcore.model.completion import parse_text
from katcore.model.folder import ChatModel
from katcore.model.template import TemplateError
from katcore.pack_trie.imitated import imitated
from katcore.pack_trie.segments import Segments
from katcore.records import Json, Node, Sample, ToolCall, Trajectory

LARGEST = float(np.finfo(np.float32).max)
"""The largest weight that a pack holds."""
ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
"""Those that templates are written for; of others one may render nothing and say nothing."""
_PROBE: Json = {"role": "user", "content": "?"}
_CALL: Json = {"id": "0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_RESULT: Json = {"role": "tool", "tool_call_id": "0", "name": "f", "content": "?"}


class Renderer:
    """Renders with one model's tokenizer and template."""

    def __init__(self, chat: ChatModel) -> None:
        self.chat = chat
        self._segments = Segments(chat.tokenizer)
        self._stop_after: dict[str, int] = {}

    def sample(self, sample: Sample) -> list[Node]:
        """The sample's nodes; RecordError when it has not exactly one of messages and text, or cannot be rendered.

        Every assistant's message is a target but for those with `"weight": 0`. Tools are those of the first message.
        """
        if not 0 <= sample.weight <= LARGEST:
            raise RecordError("render", f"its weight {sample.weight:g} is not between 0 and {LARGEST:g}")
        if (sample.text is None) == (not sample.messages):
            raise RecordError("render", "a sample has either messages or text")
        if sample.text is not None:
            return [self._text(sample.text, sample.loss_spans)]
        if sample.loss_spans:
            raise RecordError("render", "loss_spans count the characters of `text`, and this sample has messages")
        for i, message in enumerate(sample.messages):
            if message.get("weight") not in (None, 0, 1):
                raise RecordError("render", f"message {i}: its weight {message['weight']!r} is neither 0 nor 1")
        nodes = [
            Node(id=i, parent=i - 1 if i else None, role=str(message.get("role")), message=message)
            for i, message in enumerate(sample.messages)
        ]
        return self._conversation(nodes, {n.id for n in nodes if n.message and n.message.get("weight", 1) != 0})

    def trajectory(self, trajectory: Trajectory) -> list[Node]:
        """The nodes of what the teacher wrote and ended itself (`imitated.py`).

        A node keeps its id, and carries its whole prompt after the nearest turn above that it extends, or after none.
        """
        return self._conversation(trajectory.nodes, imitated(trajectory))

    # ------------------------------------------------------------------ plain text

    def _text(self, text: str, spans: Sequence[tuple[int, int]]) -> Node:
        """The node of a text, in which a token is a target when all its characters lie inside a span.

        Without spans all tokens are targets; the first never is, as nothing comes before it.
        """
        encoding = self.chat.tokenizer.backend.encode(text, add_special_tokens=False)
        offsets = np.array(encoding.offsets, np.int64).reshape(-1, 2)
        end = np.maximum.accumulate(offsets[:, 1])
        begin = np.minimum(offsets[:, 0], np.concatenate([[0], end[:-1]]))  # some offsets leave out leading white space
        inside = np.zeros(len(end), bool)
        for a, b in _joined(spans or [(0, len(text))], len(text)):
            inside[np.searchsorted(begin, a, "left") : np.searchsorted(end, b, "right")] = True
        inside[:1] = False  # nothing predicts it
        return Node(id=0, role="text", token_ids=encoding.ids, sampled=_runs(inside), origin="external")

    # ------------------------------------------------------------------ conversations

    def _conversation(self, nodes: Sequence[Node], targets: Collection[int]) -> list[Node]:
        """One node for each target of a tree of messages."""
        if not self._stop_after:
            self._learn_stops()
        paths: dict[int | None, list[Node]] = {None: []}
        whole: dict[int, list[int]] = {}
        made = []
        try:
            for node in nodes:
                if node.parent not in paths:
                    raise RecordError("nodes", f"node {node.id} does not come after its parent {node.parent}")
                paths[node.id] = [*paths[node.parent], node]
                if node.role not in ROLES:
                    self._check_role(paths[node.id])
                if node.role == "assistant" and node.id in targets:
                    made.append(self._target(paths[node.id], whole))
        except TemplateError as error:
            raise RecordError("render", str(error)) from None
        finally:
            self._segments.forget()
        return made

    def _check_role(self, path: Sequence[Node]) -> None:
        """RecordError for a message of a role that the template passes over."""
        *before, _ = messages = [_message(node) for node in path]
        if self.chat.render(messages) == self.chat.render(before):
            raise RecordError("render", f"message {len(before)}: the chat template has no role {path[-1].role!r}")

    def _target(self, path: Sequence[Node], whole: dict[int, list[int]]) -> Node:
        """The node of the last message of `path`; `whole` has the ids of the targets before, and gets this one's."""
        node = path[-1]
        prompt, completion = self._turn([_message(each) for each in path])
        at = len(path) - 2
        while at >= 0 and (path[at].id not in whole or not _begins(prompt, whole[path[at].id])):
            at -= 1
        delta = prompt[len(whole[path[at].id]) if at >= 0 else 0 :]
        whole[node.id] = prompt + completion
        return Node(
            id=node.id,
            parent=path[at].id if at >= 0 else None,
            role=node.role,
            message=node.message,
            token_ids=delta + completion,
            sampled=[(len(delta), len(delta) + len(completion))],
            tool_calls=self._placed(node.tool_calls, completion, len(delta)),
            origin="external",
        )

    def _turn(self, messages: Sequence[Json]) -> tuple[list[int], list[int]]:
        """The ids of the prompt that asks for the last message, and those that a model samples to say it."""
        tools = messages[0].get("tools")
        before = self.chat.render(messages[:-1], tools, add_generation_prompt=True)
        after = self.chat.render(messages, tools)
        if not after.startswith(before):
            raise RecordError("render", f"message {len(messages) - 1} does not go on from the opening of its turn")
        prompt, both = self._segments.encode(before), self._segments.encode(after)
        if _begins(both, prompt):
            completion = both[len(prompt) :]
        else:
            completion = self.chat.encode(after[len(before) :])
            if self.chat.decode(prompt + completion) != self.chat.decode(both):
                raise RecordError("render", "the tokenizer cannot write an answer apart from its prompt")
        return prompt, self._stopped(completion, messages[-1])

    def _stopped(self, ids: list[int], message: Json) -> list[int]:
        """The completion up to its stop token, or with one where the template writes none."""
        stops = self.chat.tokenizer.stop_ids
        last = next((i for i in reversed(range(len(ids))) if ids[i] in stops), None)
        if last is not None and not self.chat.decode(ids[last + 1 :]).strip():
            return ids[: last + 1]
        return [*ids, self._stop_after["tool" if message.get("tool_calls") else "user"]]

    def _learn_stops(self) -> None:
        """Find the ids that end a turn which the template leaves open. InputError without a template or a stop."""
        stops = self.chat.tokenizer.stop_ids
        if not stops:
            raise InputError("the model folder names no token that ends a turn", hint="set eos_token_id in config.json")
        self.chat.render([_PROBE])
        eos = self.chat.tokenizer.id(self.chat.tokenizer.special.get("eos_token", ""))
        default = eos if eos in stops and eos is not None else stops[0]
        said: Json = {"role": "assistant", "content": "?"}
        for kind, answer, following in (("user", said, _PROBE), ("tool", {**said, "tool_calls": [_CALL]}, _RESULT)):
            first = self._first_added([_PROBE, answer], following)
            self._stop_after[kind] = first if first in stops and first is not None else default

    def _first_added(self, messages: Sequence[Json], following: Json) -> int | None:
        """The first id that one more message adds; None when the template does not simply append it."""
        try:
            old, new = self.chat.render(messages), self.chat.render([*messages, following])
        except TemplateError:  # no tools in this template
            return None
        ids = self.chat.encode(new[len(old) :]) if new.startswith(old) else []
        return ids[0] if ids else None

    def _placed(self, calls: list[ToolCall], completion: list[int], start: int) -> list[ToolCall]:
        """The calls with their spans, or with none where what was rendered does not read as these calls."""
        if not any(call.outcome for call in calls):
            return calls
        ids = completion[:-1]
        found = parse_text(self.chat.decode(ids))[1]
        if [call.name for call in found] != [call.name for call in calls]:
            return [msgspec.structs.replace(call, span=None) for call in calls]
        spans = [self.chat.tokenizer.span(ids, each.start, each.end) for each in found]
        return [msgspec.structs.replace(c, span=(start + a, start + b)) for c, (a, b) in zip(calls, spans)]


def _message(node: Node) -> Json:
    if node.message is None:
        raise RecordError("render", f"node {node.id} has neither tokens nor a message")
    return node.message


def _begins(ids: list[int], prefix: list[int]) -> bool:
    return len(prefix) <= len(ids) and ids[: len(prefix)] == prefix


def _joined(spans: Sequence[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """The spans in order, those that touch as one; RecordError for one that is not in the text."""
    joined: list[tuple[int, int]] = []
    for a, b in sorted(spans):
        if not 0 <= a <= b <= length:
            raise RecordError("render", f"loss span [{a}, {b}) is not inside the {length} characters of the text")
        if joined and a <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(b, joined[-1][1])
        else:
            joined.append((a, b))
    return joined


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """[a, b) for each run of ones."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
