"""The new end of a long conversation, without rendering all of it.

What a chat template writes for the messages after a sampled turn depends on that turn's kind and on the messages,
hardly ever on what was said long before. So they are rendered behind a short conversation that stands in for it.
Whether a template is of that sort is not taken on trust: for each shape of conversation the short way must have given
the very ids of the long one CHECKED times, on real prompts, before it is used; every time its uses double it is checked
again; and once it has differed, that shape is rendered whole for good. The same goes for what opens the assistant's
turn, which is read off the short conversation once for a shape. With `--history template` all is rendered whole: there
the question is what the template makes of the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from katcore.gateway.history import History
from katcore.gateway.prompt import Delta, Known, Piece, extend, extend_mark
from katcore.model.folder import ChatModel
from katcore.model.template import TemplateError
from katcore.records import Json

CHECKED = 3
"""In how many conversations the short rendering must equal the whole one before it is used alone."""

Shape = tuple[object, ...]
_TOOL: Json = {"type": "function", "function": {"name": "f", "description": "?", "parameters": {"type": "object"}}}
_SYSTEM: Json = {"role": "system", "content": "?"}
_USER: Json = {"role": "user", "content": "?"}


class IncrementalRenderer:
    """Renders with one chat template, and learns where short conversations suffice.

    `whole` counts renderings of whole conversations, `short` those of short ones.
    """

    def __init__(self) -> None:
        self.whole = self.short = 0
        self._right: dict[Shape, int] = {}  # how often the short way was gone or right; -1: it was wrong
        self._opening: dict[Shape, str] = {}

    def extend(
        self,
        chat: ChatModel,
        messages: Sequence[Json],
        known: Known,
        tools: Sequence[Json] | None,
        history: History,
    ) -> Delta:
        """The ids of the new messages, as `prompt.extend` gives them."""
        shape = None if history == "template" else _shape(messages, known, tools)
        count = -1 if shape is None else self._right.get(shape, 0)
        if shape is not None and count >= CHECKED and count & (count - 1):
            with suppress(TemplateError):  # a message that holds the very mark
                delta = _behind(chat, messages, known, tools, self._opening.get(shape, ""))
                self.short += 1
                self._right[shape] = count + 1
                return delta
        self.whole += 1
        delta = extend(chat, messages, known, tools, history)
        if shape is not None and count >= 0:
            right = self._agrees(shape, chat, messages, known, tools, delta)
            self._right[shape] = count + 1 if right else -1
        return delta

    def _agrees(
        self,
        shape: Shape,
        chat: ChatModel,
        messages: Sequence[Json],
        known: Known,
        tools: Sequence[Json] | None,
        delta: Delta,
    ) -> bool:
        try:
            short = _behind(chat, messages, known, tools, self._opening.get(shape, ""))
        except TemplateError:  # among them NotAnExtension
            return False
        self._opening[shape] = short.opening_text
        return short == delta


def _shape(messages: Sequence[Json], known: Known, tools: Sequence[Json] | None) -> Shape | None:
    """All that the rendering of the new messages depends on besides themselves; None where that cannot be told."""
    roles = tuple(str(message.get("role")) for message in messages[known.count :])
    if not roles or "assistant" in roles or (known.end is None and not known.cut_off):
        return None
    last = messages[known.count - 1]
    if last.get("role") != "assistant":
        return None
    calls = len(last.get("tool_calls") or [])
    opening = str(messages[0].get("role"))
    return roles, calls, bool(last.get("content")), bool(last.get("reasoning_content")), opening, bool(tools)


def _behind(
    chat: ChatModel, messages: Sequence[Json], known: Known, tools: Sequence[Json] | None, opening: str
) -> Delta:
    """The ids of the new messages, rendered behind a short conversation that ends as the known one does."""
    opened = messages[0].get("role") in ("system", "developer")
    head = [_SYSTEM, _USER] if opened else [_USER]
    short = [*head, *messages[known.count - 1 :]]
    count = len(head) + 1
    delta = extend_mark(chat, short, Known(count, known.end, known.cut_off), [_TOOL] if tools else None, opening)
    by = known.count - count
    moved = [Piece(piece.start + by, piece.stop + by, piece.ids) for piece in delta.pieces]
    return Delta(moved, delta.opening, delta.opening_text)
