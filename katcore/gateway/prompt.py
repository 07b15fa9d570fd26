"""From messages to ids, in pieces: one for each new message, none for what is known already.

In: a conversation whose first messages have ids (their own, as sampled), and the rest of it. Out: the ids that each new
message adds, and those that open the assistant's turn. What is known is never tokenised again. A sampled turn ends with
its stop token; the template's rest of that turn, a newline mostly, belongs to the next piece.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from katcore.model.folder import ChatModel
from katcore.model.template import NotAnExtension, TemplateError
from katcore.records import Json


@dataclass(frozen=True)
class Piece:
    """The ids that messages `[start, stop)` add. Several only where the template writes them as one."""

    start: int
    stop: int
    ids: list[int]


@dataclass(frozen=True)
class Delta:
    """What is new in a prompt: its pieces in order, and the opening of the assistant's turn."""

    pieces: list[Piece]
    opening: list[int]


def extend(
    chat: ChatModel, messages: Sequence[Json], known: int, tools: Sequence[Json] | None, closed: bool = True
) -> Delta:
    """The ids of `messages[known:]`. `closed`: the last known message, if an assistant's, has its stop token.

    Raises NotAnExtension when the template writes the known messages differently now that more follow.
    """
    whole = chat.render(messages, tools, add_generation_prompt=True)
    cuts = [(known, _start(chat, messages, known, tools, whole, closed))]
    for count in range(known + 1, len(messages) + 1):
        cut = _cut(chat, messages[:count], tools, whole)
        if cut is not None and cut >= cuts[-1][1]:
            cuts.append((count, cut))
    if cuts[-1][0] < len(messages):  # the template does not write the last message alone as it does here
        cuts.append((len(messages), len(whole)))
    pieces = [Piece(a, b, chat.encode(whole[at:to])) for (a, at), (b, to) in itertools.pairwise(cuts)]
    if pieces and not closed:
        pieces[0] = Piece(pieces[0].start, pieces[0].stop, [chat.turn_end, *pieces[0].ids])
    opening = chat.encode(whole[cuts[-1][1] :])
    if not pieces and not closed:
        opening = [chat.turn_end, *opening]
    return Delta(pieces, opening)


def _start(
    chat: ChatModel, messages: Sequence[Json], known: int, tools: Sequence[Json] | None, whole: str, closed: bool
) -> int:
    if known == 0:
        return 0
    cut = _cut(chat, messages[:known], tools, whole)
    if cut is None:
        raise NotAnExtension("the chat template writes earlier turns differently when more follow")
    return cut


def _cut(chat: ChatModel, messages: Sequence[Json], tools: Sequence[Json] | None, whole: str) -> int | None:
    """How much of `whole` these first messages are, an assistant's last turn up to its stop token."""
    try:
        text = chat.render(messages, tools)
    except TemplateError:  # some templates refuse a conversation without a user
        return None
    if not whole.startswith(text):
        return None
    if messages[-1].get("role") != "assistant":
        return len(text)
    end = chat.decode([chat.turn_end])
    at = text.rfind(end)
    return at + len(end) if at >= 0 else None
