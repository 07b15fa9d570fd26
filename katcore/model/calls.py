"""How model families write tool calls, and how to read them back.

In: the text of one call and the tools that the model was shown. Out: the function's name and its arguments as JSON
text. Four forms: `hermes` (Qwen3: JSON between tags), `coder` (Qwen3-Coder: one tag a parameter), `glm` (a name, then
pairs of tags), `deepseek` (markers of their own, JSON inside). Which one a model uses is read off its chat template.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from katcore.model.schemas import resolved

_NAME = re.compile(r'"name"\s*:\s*"((?:[^"\\]|\\.)*)"')
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:\s*(.*?)\s*\}?\s*\Z', re.DOTALL)
_SPACE = re.compile(r"\s*")
_FUNCTION = re.compile(r"\s*<function=([^>\s]+)\s*>(.*?)\s*(</function>)?\s*\Z", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([^>]+)>\n?(.*?)\n?(?:</parameter>|(?=<parameter=)|\Z)", re.DOTALL)
_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_FENCED = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*\Z", re.DOTALL)

Read = tuple[str, str, bool]
"""(name, arguments as JSON text, whether the call is well-formed); a malformed call has its raw text as arguments."""


@dataclass(frozen=True)
class CallForm:
    """How a model writes calls.

    `block` finds one, with its body in the first group that matched; `wrapper` is text that may surround several.
    """

    name: str
    block: re.Pattern[str]
    read: Callable[[str, Sequence[dict[str, Any]]], Read]
    wrapper: tuple[str, ...] = ()
    openings: tuple[str, ...] = ("<tool_call>",)


def form_of(templates: Iterable[str]) -> CallForm:
    """The form that the chat template itself writes; `hermes` when it shows none."""
    source = "\n".join(templates)
    signs = (("<｜tool▁call▁begin｜>", DEEPSEEK), ("<arg_key>", GLM), ("<function=", CODER))
    return next((form for sign, form in signs if sign in source), HERMES)


def read_hermes(body: str, tools: Sequence[dict[str, Any]] = ()) -> Read:
    """`{"name": …, "arguments": {…}}`, the arguments as they were written."""
    members = _members(body)
    if members is not None:
        name = members.get("name", (None, ""))[0]
        value, raw = members.get("arguments") or members.get("parameters") or ({}, "{}")
        if isinstance(name, str) and name and isinstance(value, dict):
            return name, raw, True
    found, arguments = _NAME.search(body), _ARGUMENTS.search(body)
    return (found[1] if found else ""), (arguments[1] if found and arguments else body), False


def read_coder(body: str, tools: Sequence[dict[str, Any]]) -> Read:
    """`<function=name><parameter=key>value</parameter></function>`; values typed by the tool's schema."""
    match = _FUNCTION.match(body)
    if match is None:
        return "", body, False
    given = {key.strip(): _typed(value, _schema(tools, match[1], key.strip())) for key, value in _pairs(match[2])}
    closed = match[3] is not None and match[2].count("<parameter=") == match[2].count("</parameter>")
    return match[1], _json(given) if closed else match[2], closed


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(match[1], match[2]) for match in _PARAMETER.finditer(text)]


def read_glm(body: str, tools: Sequence[dict[str, Any]]) -> Read:
    """A name, then `<arg_key>key</arg_key><arg_value>value</arg_value>` for each argument."""
    head, sign, rest = body.partition("<arg_key>")
    name, pairs = head.strip(), sign + rest
    left = _PAIR.sub("", pairs).strip()
    if not name or left or any(space in name for space in "{ \n"):
        return name.split("\n")[0], pairs or body, False
    given = {key.strip(): _typed(value, _schema(tools, name, key.strip())) for key, value in _PAIR.findall(pairs)}
    return name, _json(given), True


def read_deepseek(body: str, tools: Sequence[dict[str, Any]] = ()) -> Read:
    """`name<｜tool▁sep｜>{…}`, or the older `function<｜tool▁sep｜>name` with fenced JSON after it."""
    head, separator, rest = body.partition("<｜tool▁sep｜>")
    if head.strip() == "function":
        head, _, rest = rest.partition("\n")
    fenced = _FENCED.match(rest)
    arguments = fenced[1] if fenced else rest.strip()
    valid = bool(separator and head.strip()) and isinstance(_loads(arguments), dict)
    return head.strip(), arguments, valid


HERMES = CallForm("hermes", re.compile(r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL), read_hermes)
CODER = CallForm(
    "coder",
    # The model now and then leaves out the opening tag.
    re.compile(
        r"<tool_call>(.*?)(?:</tool_call>|(?=<tool_call>)|\Z)|(<function=.*?(?:</function>|\Z))(?:\s*</tool_call>)?",
        re.DOTALL,
    ),
    read_coder,
    openings=("<tool_call>", "<function="),
)
GLM = CallForm("glm", HERMES.block, read_glm)
DEEPSEEK = CallForm(
    "deepseek",
    re.compile(r"<｜tool▁call▁begin｜>(.*?)(?:<｜tool▁call▁end｜>|(?=<｜tool▁call▁begin｜>)|\Z)", re.DOTALL),
    read_deepseek,
    wrapper=("<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"),
    openings=("<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>"),
)


def _schema(tools: Sequence[dict[str, Any]], name: str, key: str) -> dict[str, Any]:
    for tool in tools:
        function = tool.get("function") or tool
        if function.get("name") == name:
            parameters = function.get("parameters") or {}
            whole = resolved(parameters, parameters)
            found = resolved((whole.get("properties") or {}).get(key), parameters)
            return found if isinstance(found, dict) else {}
    return {}


def reads_as_text(schema: Any) -> bool:
    """Whether a parameter by this schema is written as it is: as JSON where it may be anything but a string."""
    if not isinstance(schema, dict):
        return True
    if "type" in schema:
        return bool(schema["type"] == "string")
    values = [schema["const"]] if "const" in schema else schema.get("enum") or []
    return not any(schema.get(name) for name in ("anyOf", "oneOf", "allOf")) and all(isinstance(v, str) for v in values)


def _typed(text: str, schema: dict[str, Any]) -> Any:
    """A value by its schema: the text itself where the schema says string or nothing, else parsed if it is JSON."""
    if reads_as_text(schema):
        return text
    if schema.get("type") == "boolean" and text.strip().lower() in ("true", "false"):
        return text.strip().lower() == "true"
    value = _loads(text)
    return text if value is None and text.strip() != "null" else value


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _members(body: str) -> dict[str, tuple[Any, str]] | None:
    """The top-level members of one JSON object with each value's own text, None when it is malformed."""
    decoder = json.JSONDecoder()
    members: dict[str, tuple[Any, str]] = {}
    try:
        if not isinstance(decoder.decode(body), dict):
            return None
        at = _skip(body, 1)
        while body[at] != "}":
            key, at = decoder.raw_decode(body, at)
            start = _skip(body, _skip(body, at) + 1)
            value, at = decoder.raw_decode(body, start)
            members[key] = value, body[start:at]
            at = _skip(body, at)
            at = _skip(body, at + 1) if body[at] == "," else at
    except (ValueError, RecursionError):
        return None
    return members


def _skip(body: str, at: int) -> int:
    match = _SPACE.match(body, at)
    return match.end() if match else at
