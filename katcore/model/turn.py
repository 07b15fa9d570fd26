"""How a chat template writes an assistant's turn, read off the template itself: its thinking, its text, its calls.

In: what the template makes of a few messages with marks in them. Out: the pieces of text around what the model chooses.
Nothing about a family of models stands here; how its calls are found in a text is `calls.py`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from katcore.model.calls import CallForm

NAME = "KATname7f3a"
_TEXT, _THOUGHT = "KATtext7f3a", "KATthought7f3a"
_KEYS, _VALUES = ("KATkey7f3a", "KATkey9c1e"), ("KATvalue7f3a", "KATvalue9c1e")
_MARK = re.compile(r"<[^<>\s]*?[=>]")
_OPENING = re.compile(r"\s*<[^<]*\Z")
_JSON_PAIR = re.compile(r'"\s*:\s*"')

Said = Callable[[dict[str, Any]], str | None]
"""An assistant's message as the model would have sampled it, without its stop token; None where none can be."""


@dataclass(frozen=True)
class Lead:
    """What a turn begins with: `before` a thought and what ends it, or, without one, `before` all the rest."""

    before: str
    end: str = ""
    after: str = ""

    @property
    def thinks(self) -> bool:
        """Whether it holds a thought."""
        return bool(self.end)


@dataclass(frozen=True)
class CallText:
    """One call: text `before` its arguments and `after` them, with NAME where its name stands.

    `parameter`: what stands before the name of each, between name and value, and after the value; None where the
    arguments are one JSON object. `marks`: what its parts are told by, which no value may hold.
    """

    before: str
    after: str
    parameter: tuple[str, str, str] | None
    marks: tuple[str, ...]


@dataclass(frozen=True)
class Turn:
    """A turn of text or of calls; `call` is None where the template writes none. `between`, `after`: of several."""

    text: tuple[Lead, ...]
    calls: tuple[Lead, ...] = ()
    call: CallText | None = None
    between: str = ""
    after: str = ""

    @property
    def written(self) -> str:
        """All text that is the template's own: which special tokens a model may write is read off it."""
        leads = "".join(lead.before + lead.end + lead.after for lead in (*self.text, *self.calls))
        call = "" if self.call is None else self.call.before + self.call.after + "".join(self.call.parameter or ())
        return leads + call + self.between + self.after


def read_turn(said: Said, form: CallForm, opened: bool) -> Turn:
    """What the template writes; `opened`: its prompts end inside a thought."""
    text = _leads(said, {"role": "assistant", "content": _TEXT}, lambda whole: whole.find(_TEXT))
    if not text:  # it does not write answers as its prompts open them
        text = (Lead("", "</think>") if opened else Lead(""),)
    arguments = json.dumps(dict(zip(_KEYS, _VALUES)))
    calls = [{"id": name, "type": "function", "function": {"name": NAME, "arguments": arguments}} for name in "ab"]
    message: dict[str, Any] = {"role": "assistant", "content": "", "tool_calls": calls}
    leads = _leads(said, message, lambda whole: _spans(form, whole)[0][0] if _spans(form, whole) else -1)
    whole = next((found for extra in _THOUGHTS if (found := said(message | extra)) is not None), "")
    spans = _spans(form, whole)
    if not leads or len(spans) != 2:
        return Turn(text)
    (start, end), (other, last) = spans
    return Turn(text, leads, _call_text(whole[start:end]), whole[end:other], whole[last:])


_THOUGHTS: tuple[dict[str, Any], ...] = ({}, {"reasoning_content": _THOUGHT})


def _spans(form: CallForm, text: str) -> list[tuple[int, int]]:
    return [match.span() for match in form.block.finditer(text)]


def _leads(said: Said, message: dict[str, Any], at: Callable[[str], int]) -> tuple[Lead, ...]:
    """What comes before the place `at` which the message itself begins, without a thought and with one."""
    found = []
    for thought in _THOUGHTS:
        whole = said(message | thought)
        start = -1 if whole is None else at(whole)
        if whole is None or start < 0:
            continue
        before, thinks, behind = whole[:start].partition(_THOUGHT)
        end = re.search(r"\S+", behind)
        if thinks and end:
            found.append(Lead(before, end[0], behind[end.end() :]))
        elif not thinks and not thought:
            found.append(Lead(before))
    return tuple(found)


def _call_text(text: str) -> CallText | None:
    """The parts of one call with the marks in it; None where they cannot be told."""
    places = [text.find(mark) for mark in (_KEYS[0], _VALUES[0], _KEYS[1], _VALUES[1])]
    if NAME not in text or -1 in places or places != sorted(places):
        return None
    marks = tuple(dict.fromkeys(_MARK.findall(text)))
    key, value, other_key, other_value = places
    joint = text[key + len(_KEYS[0]) : value]
    if _JSON_PAIR.fullmatch(joint):
        start, end = text.rfind("{", 0, key), text.find("}", other_value) + 1
        return CallText(text[:start], text[end:], None, marks) if start >= 0 and end > 0 else None
    named = text.find(NAME) + len(NAME)
    opening = _OPENING.search(text[named:key])
    between, rest = text[value + len(_VALUES[0]) : other_key], text[other_value + len(_VALUES[1]) :]
    if opening is None or not between.endswith(opening[0]) or text[other_key + len(_KEYS[1]) : other_value] != joint:
        return None
    closing = between.removesuffix(opening[0])
    if not closing.strip() or not rest.startswith(closing):
        return None
    before = text[: key - len(opening[0])]
    return CallText(before, rest.removeprefix(closing), (opening[0], joint, closing), marks)
