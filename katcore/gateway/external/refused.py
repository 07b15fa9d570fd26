"""What an endpoint refuses of its requests: read off its errors, left out from then on, and said once.

In: a request's body and headers, and the text of a 400. Out: the same without the fields that the text names as
unknown or unsupported. Only what a request can do without is ever left out: tools, a forced choice, a format of the
answer, stop strings and the conversation itself are not, and the error about them is the agent's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from katcore.records import Json

Field = tuple[str, str]
"""Where and what: in the body itself (BODY), in messages and tools (INSIDE), a header, or a way of writing (FORM)."""
BODY, INSIDE, HEADER, FORM = "", "messages", "header", "form"
PARTS, DEVELOPER, WHOLE = (FORM, "content parts"), (FORM, "developer"), (FORM, "stream")
RENAMED = {"max_completion_tokens": "max_tokens"}
"""Fields that have an older name, which is tried in their place."""

NEEDED = frozenset(
    ["model", "messages", "system", "tools", "tool_choice", "max_tokens", "stream", "stream_options", "stop",
     "stop_sequences", "n", "response_format", "output_format", "output_config"]
)  # fmt: skip
NEEDED_INSIDE = frozenset(
    ["role", "content", "type", "text", "thinking", "signature", "data", "tool_calls", "id", "function", "name",
     "arguments", "tool_call_id", "tool_use_id", "input", "parameters", "input_schema", "source", "image_url",
     "is_error", "refusal", "description"]
)  # fmt: skip
OPTIONAL_HEADERS = ("anthropic-beta",)
NOT_LOOKED_INTO = frozenset(["parameters", "input_schema", "input", "arguments", "source", "image_url"])

_SIGNS = re.compile(
    r"unknown|unsupported|unrecogni[sz]ed|unexpected|not support|extra (?:inputs|fields)|extra_forbidden|not permitted"
    r"|not allowed|no such|additional propert|cannot find field|cannot both be|deprecated"
    r"|invalid (?:parameter|argument|field|property|header)",
    re.IGNORECASE,
)
_NO_PARTS = re.compile(r"content.{0,200}?(?:valid|expected|must be|should be)\W+(?:an? )?(?:valid )?str", re.I | re.S)
_STREAM = re.compile(r"stream\b.{0,60}\b(?:only|must|required|enable|true)|\bonly\b.{0,60}\bstream", re.I | re.S)


@dataclass
class Refusals:
    """What one endpoint has refused so far, in this process; `said` is a line for people about each."""

    fields: dict[Field, None] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    def without(self, body: Json) -> Json:
        """The body as this endpoint takes it; the one given stays as it is."""
        own = {name: value for name, value in body.items() if (BODY, name) not in self.fields}
        for name, older in RENAMED.items():
            if name in body and (BODY, name) in self.fields and (BODY, older) not in self.fields:
                own[older] = body[name]
        for name in (INSIDE, "system", "tools"):
            if name in own:
                own[name] = self._inside(own[name])
        if WHOLE in self.fields:
            own["stream"] = True
        return own

    def headers(self, headers: dict[str, str]) -> dict[str, str]:
        """The headers as this endpoint takes them."""
        return {name: value for name, value in headers.items() if (HEADER, name) not in self.fields}

    def learn(self, body: Json, headers: dict[str, str], said: str) -> bool:
        """Whether an error names something of what was sent that can be left out: from now on it is."""
        found = list(_named(body, headers, said))
        if "cannot both be" in said:
            found = found[-1:]  # the one without the other is taken
        for each in found:
            if each not in self.fields:
                self.fields[each] = None
                self.said.append(f"the endpoint refuses {_called(each)}, left out from now on: {said[:200]}")
        return bool(found)

    def _inside(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._inside(each) for each in value]
        if not isinstance(value, dict):
            return value
        found = {
            name: each if name in NOT_LOOKED_INTO else self._inside(each)
            for name, each in value.items()
            if (INSIDE, name) not in self.fields
        }
        if DEVELOPER in self.fields and found.get("role") == "developer":
            found["role"] = "system"
        if PARTS in self.fields and _texts(found.get("content")):
            found["content"] = "".join(part["text"] for part in found["content"])
        return found


def _named(body: Json, headers: dict[str, str], said: str) -> Iterator[Field]:
    """What of a request an error names: fields that it can do without, or a way in which it is written."""
    messages = [each for each in body.get("messages") or [] if isinstance(each, dict)]
    if any(each.get("role") == "developer" for each in messages) and re.search(r"\bdeveloper\b", said):
        yield DEVELOPER
    if _NO_PARTS.search(said) and any(each.get("role") and _texts(each.get("content")) for each in messages):
        yield PARTS
    if not body.get("stream") and _STREAM.search(said):
        yield WHOLE
    if not _SIGNS.search(said):
        return
    inside = {name for key in (INSIDE, "system", "tools") for name in _names(body.get(key))} - NEEDED_INSIDE
    for name in sorted({*body} - NEEDED | inside):
        if not _names_it(said, name):
            continue
        path = rf"(?:messages|system|tools)\b[^;{{}}]{{0,80}}{name}"
        deep = name in inside and (name not in body or re.search(path, said))
        yield (INSIDE if deep else BODY, name)
    yield from ((HEADER, name) for name in OPTIONAL_HEADERS if name in headers and _names_it(said, name))


def _names_it(said: str, name: str) -> bool:
    """Whether a text speaks of a field of this name: in quotes, in a path, or as the subject of a sentence."""
    before = r"(?:[`'\"“.\[>]|\b(?:parameter|argument|field|property|option|supports?|supported|supplied)s?:? |^)"
    after = r"(?:[`'\"”\].:,]|\s+(?:is|are|was|not|does|cannot|may|and|in|header|parameter|field)\b|$)"
    subject = rf"\b{re.escape(name)} (?:is|are) (?:not|un|deprecated)"
    return re.search(f"{before}{re.escape(name)}{after}|{subject}", said, re.MULTILINE) is not None


def _names(value: Any) -> Iterator[str]:
    """The names of the members inside messages, parts and tools."""
    if isinstance(value, list):
        for each in value:
            yield from _names(each)
    if isinstance(value, dict):
        for name, each in value.items():
            yield name
            if name not in NOT_LOOKED_INTO:
                yield from _names(each)


def _texts(content: Any) -> bool:
    """Whether content is a list of text parts."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(part, dict) and isinstance(part.get("text"), str) for part in content)
    )


def _called(each: Field) -> str:
    where, name = each
    words = {PARTS: "content as a list of parts", DEVELOPER: "the role developer", WHOLE: "answers in one piece"}
    return words.get(each) or (f"{name} in messages and tools" if where == INSIDE else name)
