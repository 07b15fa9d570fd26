"""A conversation as one chat template can express it, where the agent's own is of another form.

In: messages in the normalised form. Out: messages that the template renders with all that they say: a second system
message joined to the first, one in the middle as the user's, neighbours of one role as one message, images as
placeholders. What a template can express is tried out once, on short conversations with marks in them: it must neither
refuse them nor leave a mark out. Where it can express everything, nothing is changed. Each message that stands for
several says so: `folded` has their roles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from katcore.gateway.messages import text_of
from katcore.model.folder import ChatModel
from katcore.model.template import TemplateError
from katcore.records import Json

BETWEEN = "\n\n"
"""What stands between two texts that become one message."""
SYSTEM = ("system", "developer")
_TEXT = ("text", "refusal", "input_text", "output_text", None)


@dataclass(frozen=True)
class Expressible:
    """What the template of a chat model can express."""

    chat: ChatModel

    def prepared(self, messages: list[Json]) -> list[Json]:
        """The messages as the template can express them; the very same list where it can as they are."""
        found = [_without_images(each) if isinstance(each.get("content"), list) else each for each in messages]
        if not self._everything:
            found = self._folded(found)
        same = len(found) == len(messages) and all(one is other for one, other in zip(found, messages))
        return messages if same else found

    def _folded(self, messages: list[Json]) -> list[Json]:
        leading = next((at for at, message in enumerate(messages) if message.get("role") not in SYSTEM), len(messages))
        head, rest = messages[:leading], messages[leading:]
        if len(head) > 1 and not self._fits("system", "system", "user"):
            head = [_joined(head)]
        if not self._fits("system", "user", "assistant", "system", "user"):
            rest = [_as(message, "user") if message.get("role") in SYSTEM else message for message in rest]
        if head and not self._fits("system", "user"):
            head = [_as(message, "user") for message in head]
        return self._merged([*head, *rest])

    def _merged(self, messages: Sequence[Json]) -> list[Json]:
        """Neighbours that the template cannot express one after the other become one message."""
        found: list[Json] = []
        for message in messages:
            pair = (str(found[-1].get("role")), str(message.get("role"))) if found else ("", "")
            if pair in self._apart and not (pair[1] == "assistant" and _calls(found[-1])):
                found[-1] = _joined([found[-1], message])
            else:
                found.append(message)
        return found

    @cached_property
    def _apart(self) -> frozenset[tuple[str, str]]:
        """Roles of neighbours that have to be one message."""
        tried = {
            ("user", "user"): ("user", "user"),
            ("assistant", "assistant"): ("user", "assistant", "assistant", "user"),
            ("tool", "user"): ("user", "call", "tool", "user"),
        }
        return frozenset(pair for pair, roles in tried.items() if not self._fits(*roles))

    @cached_property
    def _everything(self) -> bool:
        middle = self._fits("system", "user", "assistant", "system", "user")
        return middle and self._fits("system", "system", "user") and not self._apart

    def _fits(self, *roles: str) -> bool:
        """Whether the template renders such a conversation, with all that it says and in its order."""
        if ("fits", roles) not in self._known:
            self._known["fits", roles] = self._rendered(roles)
        return self._known["fits", roles]

    @cached_property
    def _known(self) -> dict[tuple[str, tuple[str, ...]], bool]:
        return {}

    def _rendered(self, roles: Sequence[str]) -> bool:
        messages, marks = [], []
        for number, role in enumerate(roles):
            mark = f"KATmark{number}of{len(roles)}"
            messages.append(_probe(role, mark))
            marks += [] if role == "call" else [mark]
        try:
            text = self.chat.render(messages)
        except TemplateError:
            return False
        places = [text.find(mark) for mark in marks]
        return places == sorted(places) and places[0] >= 0


def _probe(role: str, mark: str) -> Json:
    if role == "call":
        function = {"name": "f", "arguments": "{}"}
        return {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        }
    if role == "tool":
        return {"role": "tool", "tool_call_id": "c1", "name": "f", "content": mark}
    return {"role": role, "content": mark}


def _as(message: Json, role: str) -> Json:
    return {**message, "role": role, "folded": [str(message.get("role"))]}


def _joined(messages: Sequence[Json]) -> Json:
    """The messages as one, of the first one's role."""
    roles = [role for message in messages for role in message.get("folded") or [str(message.get("role"))]]
    calls = [call for message in messages for call in _calls(message)]
    content = BETWEEN.join(filter(None, (text_of(message.get("content")) for message in messages)))
    more: Json = {"tool_calls": calls} if calls else {}
    return {**messages[0], "content": content, **more, "folded": roles}


def _calls(message: Json) -> list[Json]:
    return message.get("tool_calls") or []


def _without_images(message: Json) -> Json:
    content = message.get("content")
    if not isinstance(content, list) or all(part.get("type") in _TEXT for part in content if isinstance(part, dict)):
        return message
    texts = [text_of([part]) if part.get("type") in _TEXT else "[image]" for part in content if isinstance(part, dict)]
    return {**message, "content": BETWEEN.join(texts)}
