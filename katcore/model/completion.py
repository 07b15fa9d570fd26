"""What a model wrote, as an OpenAI assistant message: reasoning, content and tool calls.

In: the text of one completion without its stop token, or as much of it as there is. Out: the message and where each
call stands in the text. Malformed calls are kept with their raw text and a marker; parsing never fails. How a call is
written is `calls.py`'s, token spans are `folder.py`'s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from katcore.model.calls import HERMES, CallForm
from katcore.records import content_id

_THINK = re.compile(r"\s*<think>\n?(.*?)(?:\n?</think>(?:\n\n|\n|)|\Z)", re.DOTALL)


@dataclass(frozen=True)
class TextCall:
    """One call in a text: `arguments` is a JSON object as text; `start`, `end` count characters."""

    id: str
    name: str
    arguments: str
    start: int
    end: int
    valid: bool


def parse_text(
    text: str,
    call_seed: str = "",
    think: bool = False,
    form: CallForm = HERMES,
    tools: Sequence[dict[str, Any]] | None = None,
) -> tuple[dict[str, Any], list[TextCall]]:
    """The assistant message that `text` stands for, and its calls.

    Call ids depend on `call_seed`, the place and the text; give a seed of your own per model call to make them unique.
    `think` says that the prompt already opened a `<think>` block. Forms that write values without their types need the
    `tools` that the model was shown.
    """
    reasoning, begin = _reasoning(text, think)
    matches = list(form.block.finditer(text, begin))
    calls = [_call(match, call_seed, index, form, tools or ()) for index, match in enumerate(matches)]
    message: dict[str, Any] = {"role": "assistant", "content": _content(text, begin, matches, form)}
    if reasoning:
        message["reasoning_content"] = reasoning
    if calls:
        message["content"] = message["content"] or None
        message["tool_calls"] = [_openai(call) for call in calls]
    return message, calls


def settled(text: str, think: bool = False, form: CallForm = HERMES) -> tuple[str, str]:
    """Reasoning and content of an unfinished completion, as far as nothing that may follow can change them.

    Both are prefixes of what `parse_text` gives in the end. White space at an end and everything from the first sign of
    a call on is held back; so is content while the reasoning may go on.
    """
    opened = think or text.lstrip().startswith("<think>")
    if not opened and (not text.strip() or "<think>".startswith(text.strip())):
        return "", ""
    reasoning, begin = _reasoning(text, think)
    if opened and "</think>" not in text:
        return _stable(reasoning, ("</think>",)), ""
    body = text[begin:]
    if opened and not body.strip():
        return reasoning, ""
    ends = [at for sign in (*form.openings, *form.wrapper) if (at := body.find(sign)) >= 0]
    return reasoning, body[: min(ends)].rstrip() if ends else _stable(body, (*form.openings, *form.wrapper))


def first_call_end(text: str, think: bool = False, form: CallForm = HERMES) -> int | None:
    """Where the first call of a completion ends, once a second one has begun; None as long as there is none."""
    matches = form.block.finditer(text, _reasoning(text, think)[1])
    first, second = next(matches, None), next(matches, None)
    return first.end() if first is not None and second is not None else None


def _stable(text: str, signs: Sequence[str]) -> str:
    """`text` without white space at its end, and without a beginning of one of the `signs` there, which may go on."""
    text = text.rstrip("\ufffd")  # a character of which some bytes are there: it may go on with a sign
    for size in range(min(len(text), max(map(len, signs))), 0, -1):
        if any(sign.startswith(text[-size:]) for sign in signs):
            return text[:-size].rstrip()
    return text.rstrip()


def _reasoning(text: str, think: bool) -> tuple[str, int]:
    if think and "<think>" not in text:
        head, closed, _ = text.partition("</think>")
        return head.strip("\n"), len(head) + len(closed)
    match = _THINK.match(text)
    return (match[1], match.end()) if match else ("", 0)


def _content(text: str, begin: int, matches: list[re.Match[str]], form: CallForm) -> str:
    """The text from `begin` on that is outside the calls, without the one newline that templates put before each."""
    parts = []
    for match in matches:
        parts.append(_outside(text[begin : match.start()], form).removesuffix("\n"))
        begin = match.end()
    parts.append(_outside(text[begin:], form) if matches else text[begin:])
    return "".join(parts)


def _outside(text: str, form: CallForm) -> str:
    for sign in form.wrapper:
        text = text.replace(sign, "")
    return text


def _call(match: re.Match[str], seed: str, index: int, form: CallForm, tools: Sequence[dict[str, Any]]) -> TextCall:
    body = next(group for group in match.groups() if group is not None).strip()
    name, arguments, valid = form.read(body, tools)
    identity = "call_" + content_id(seed, str(index), body)
    return TextCall(identity, name, arguments, match.start(), match.end(), valid)


def _openai(call: TextCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
