"""From messages to ids, in pieces: one for each new message, none for what is known already.

In: a conversation whose first messages have ids (their own, as sampled), and the rest of it. Out: the ids that each new
message adds, and those that open the assistant's turn. What is known is never tokenised again. A sampled turn ends with
its stop token; the template's rest of that turn, a newline mostly, belongs to the next piece. Where the template lets
the next message's opening end a turn, a stop token that was sampled is that opening and is not written twice.

Some templates write earlier turns differently once more follow (they drop old thinking). What is new can then not be
read off the difference of two renders. It is found behind a mark put in the place of what the last known turn says.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from katcore.gateway.history import History
from katcore.model.folder import ChatModel
from katcore.model.template import NotAnExtension, TemplateError
from katcore.records import Json

_MARK = "KATmark7f3aKAT"
_MARKED = json.dumps({"mark": _MARK})


@dataclass(frozen=True)
class Piece:
    """The ids that messages [start, stop) add: one message, or several that the template writes as one."""

    start: int
    stop: int
    ids: list[int]


@dataclass(frozen=True)
class Delta:
    """What a prompt adds to known ids: its pieces in order, and the ids that open the assistant's turn."""

    pieces: list[Piece]
    opening: list[int] = field(default_factory=list)
    opening_text: str = field(default="", compare=False)


@dataclass(frozen=True)
class Known:
    """How many of the first messages have ids, and how the last of them ends when it was sampled.

    `end`: its last token if that is a stop token. `cut_off`: it was sampled and has none.
    """

    count: int = 0
    end: int | None = None
    cut_off: bool = False


def extend(
    chat: ChatModel, messages: Sequence[Json], known: Known, tools: Sequence[Json] | None, history: History
) -> Delta:
    """The ids of `messages[known.count:]`, as pieces, with the opening of the assistant's turn.

    Raises NotAnExtension when the template writes the known messages differently now that more follow, and the history
    is to be as the template has it, or the last known message is not an assistant's.
    """
    messages = list(messages)
    whole = chat.render(messages, tools, add_generation_prompt=True)
    start = 0 if known.count == 0 else _cut(chat, messages[: known.count], tools, whole)
    if start is None:
        if history == "template" or messages[known.count - 1].get("role") != "assistant":
            raise NotAnExtension("the chat template writes earlier turns differently when more follow")
        return extend_mark(chat, messages, known, tools)
    return _delta(chat, messages, known, tools, whole, start)


def extend_mark(
    chat: ChatModel, messages: Sequence[Json], known: Known, tools: Sequence[Json] | None, opening: str = ""
) -> Delta:
    """The ids of `messages[known.count:]`, rendered with a mark in the place of the last known turn's text.

    Raises NotAnExtension where the end of the marked turn cannot be told.
    `opening`: what the assistant's turn opens with here, where that is known already.
    """
    last = known.count - 1
    marked = [*messages[:last], _marked(messages[last]), *messages[last + 1 :]]
    whole = chat.render(marked, tools, add_generation_prompt=True)
    return _delta(chat, marked, known, tools, whole, _behind_mark(chat, whole), opening)


def _delta(
    chat: ChatModel, messages: Sequence[Json], known: Known, tools: Sequence[Json] | None, whole: str, start: int,
    opened: str = "",
) -> Delta:  # fmt: skip
    """The pieces of `whole` from `start` on."""
    cuts = [(known.count, start)]
    for count in range(known.count + 1, len(messages) + 1):
        if count == len(messages) and opened and whole.endswith(opened):
            cut: int | None = len(whole) - len(opened)
        else:
            cut = _cut(chat, messages[:count], tools, whole)
        if cut is not None and cut >= cuts[-1][1]:
            cuts.append((count, cut))
    if cuts[-1][0] < len(messages):  # the template does not write the last message alone as it does here
        cuts.append((len(messages), len(whole)))
    pieces = [Piece(a, b, chat.encode(whole[at:to])) for (a, at), (b, to) in itertools.pairwise(cuts)]
    text = whole[cuts[-1][1] :]
    opening = chat.encode(text)
    if pieces:
        first = Piece(pieces[0].start, pieces[0].stop, _joined(chat, known, pieces[0].ids))
        return Delta([first, *pieces[1:]], opening, text)
    return Delta([], _joined(chat, known, opening), text)


def _joined(chat: ChatModel, known: Known, ids: list[int]) -> list[int]:
    """The new ids as they follow a sampled turn: with the end that one cut off lacks, or without the end it has."""
    if known.cut_off and chat.writes_turn_end:
        return [chat.turn_end, *ids]
    if known.end is not None and not chat.writes_turn_end and ids[:1] == [known.end]:
        return ids[1:]
    return ids


def _cut(chat: ChatModel, messages: Sequence[Json], tools: Sequence[Json] | None, whole: str) -> int | None:
    """How much of `whole` these first messages are, an assistant's last turn up to its stop token."""
    try:
        text = chat.render(messages, tools)
    except TemplateError:  # some templates refuse a conversation without a user
        return None
    if not whole.startswith(text):
        return None
    if messages[-1].get("role") != "assistant" or not chat.writes_turn_end:
        return len(text)
    end = chat.decode([chat.turn_end])
    at = text.rfind(end)
    return at + len(end) if at >= 0 else None


def _marked(message: Json) -> Json:
    """The message with the mark as its text or as its last call's arguments: the template goes on as after it."""
    calls = [dict(call) for call in message.get("tool_calls") or []]
    if not calls:
        return {"role": "assistant", "content": _MARK}
    calls[-1]["function"] = {**calls[-1]["function"], "arguments": _MARKED}
    return {"role": "assistant", "content": message.get("content"), "tool_calls": calls}


def _behind_mark(chat: ChatModel, whole: str) -> int:
    """The character at which the marked turn ends in `whole`. NotAnExtension when that cannot be told."""
    if whole.count(_MARK) != 1:
        raise NotAnExtension("the chat template does not write the last turn as it is")
    at = whole.index(_MARK) + len(_MARK)
    if chat.writes_turn_end:
        end = chat.decode([chat.turn_end])
        found = whole.find(end, at)
        if found >= 0:
            return found + len(end)
    else:
        found = min((f for stop in chat.stop_ids if (f := whole.find(chat.decode([stop]), at)) >= 0), default=-1)
        if found >= 0:
            return found
    raise NotAnExtension("the chat template leaves the last turn open")
