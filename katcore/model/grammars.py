"""What an answer may be, as a grammar: a text by a JSON Schema, calls in the form that the chat template writes.

In: how the template writes a turn, a schema, tools. Out: a structural tag, the JSON that xgrammar compiles and SGLang
takes as `structural_tag`. Where the template lets a turn think, it may think first. NoGrammar says what has none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from katcore.model.calls import reads_as_text
from katcore.model.schemas import bounds_text, deeper, resolved
from katcore.model.turn import NAME, CallText, Lead, Turn

Format = dict[str, Any]
SPACES = 16
"""The longest white space between two signs of JSON: without a bound a weak model goes on with it for ever."""
DEEPEST = 100
"""Levels of a schema: the time to compile one grows with their cube, 0.1 s for 100 and 40 s for 900."""
_PLAIN = re.compile(r"[\w.-]+")


class NoGrammar(ValueError):
    """There is no grammar for this: the message says of what, and why."""


def grammar(turn: Turn, schema: Any | None, tools: Sequence[dict[str, Any]], several: bool) -> str:
    """The structural tag of a turn that is a text by `schema`, or calls of `tools`: `several`, or one.

    Without a schema it is calls alone, without tools text alone.
    """
    marks = () if turn.call is None else turn.call.marks
    options = []
    if schema is not None:
        text = json_format(schema, marks)
        options += [_sequence(*_lead(lead), text) for lead in turn.text]
    if tools:
        calls = _calls(turn, tools, several)
        options += [_sequence(*_lead(lead), *calls) for lead in turn.calls]
    return json.dumps({"type": "structural_tag", "format": _either(options)}, ensure_ascii=False, separators=(",", ":"))


def json_format(schema: Any, marks: Iterable[str] = ()) -> Format:
    """JSON that follows a schema. No string in it holds one of `marks`, by which calls are told, unless its length is
    bounded: xgrammar has but one of the two."""
    if deeper(schema, DEEPEST):
        raise NoGrammar(f"a schema nested in more than {DEEPEST} levels")
    excluded = {"excludes": list(marks)} if marks and not bounds_text(schema) else {}
    return {"type": "json_schema", "json_schema": schema, "max_whitespace_cnt": SPACES, **excluded}


def _calls(turn: Turn, tools: Sequence[dict[str, Any]], several: bool) -> list[Format]:
    if turn.call is None:
        raise NoGrammar("this model's chat template writes no calls")
    one = _either([_call(turn.call, tool["function"]) for tool in tools])
    more = [{"type": "star", "content": _sequence(*_text(turn.between), one)}] if several else []
    return [one, *more, *_text(turn.after)]


def _call(form: CallText, function: dict[str, Any]) -> Format:
    name, schema = str(function.get("name") or ""), function.get("parameters")
    if not _PLAIN.fullmatch(name):
        raise NoGrammar(f"the tool {name!r}: its name has other signs than letters, digits, '_', '-' and '.'")
    before, after = _text(form.before.replace(NAME, name)), _text(form.after.replace(NAME, name))
    if form.parameter is None:
        return _sequence(*before, json_format(schema or _ANY_OBJECT, form.marks), *after)
    return _sequence(*before, *_parameters(form, name, schema or _ANY_OBJECT), *after)


_ANY_OBJECT: Format = {"type": "object", "additionalProperties": True}


def _parameters(form: CallText, name: str, schema: Any) -> list[Format]:
    """The parameters of a call whose form writes each by itself, in the order of the schema."""
    whole = resolved(schema, schema)
    properties = whole.get("properties") or {} if isinstance(whole, dict) else None
    if not isinstance(properties, dict) or any(key in whole for key in ("anyOf", "oneOf", "allOf")):
        raise NoGrammar(f"the tool {name!r}: this model writes parameters one by one, and its schema lists none")
    required = whole.get("required") or []
    if missing := [key for key in required if key not in properties]:
        raise NoGrammar(f"the tool {name!r}: it requires {missing[0]!r}, which its schema does not describe")
    found = []
    for key, given in properties.items():
        if any(mark in key for mark in form.marks):
            raise NoGrammar(f"the tool {name!r}: its parameter {key!r} cannot be written in this model's form")
        of = resolved(given, schema)
        parameter = _parameter(form, key, of if isinstance(of, dict) else {}, schema)
        found.append(parameter if key in required else {"type": "optional", "content": parameter})
    return found


def _parameter(form: CallText, key: str, schema: Any, root: Any) -> Format:
    assert form.parameter is not None
    opening, joint, closing = form.parameter
    begin = opening + key + joint
    end = closing.strip()
    if not reads_as_text(schema):
        inner = {name: root[name] for name in ("$defs", "definitions") if name in root} | schema
        return _sequence(*_text(begin), json_format(inner, form.marks), *_text(closing))
    options = [schema["const"]] if "const" in schema else schema.get("enum")
    if options is not None:
        return _sequence(*_text(begin), _either([_exactly(str(each)) for each in options]), *_text(closing))
    if "pattern" in schema or "minLength" in schema or "maxLength" in schema:
        return _sequence(*_text(begin), {"type": "regex", "pattern": _expression(schema)}, *_text(closing))
    free = {"type": "any_text", "excludes": [mark for mark in form.marks if mark != end]}
    rest = closing[closing.index(end) + len(end) :]
    return _sequence({"type": "tag", "begin": begin, "content": free, "end": end}, *_text(rest))


def _expression(schema: Any) -> str:
    """A text of bounded length or by a pattern, as a regular expression; a bounded one without `<`, as marks have."""
    if "pattern" not in schema:
        most = schema.get("maxLength")
        return f"[^<]{{{int(schema.get('minLength') or 0)},{'' if most is None else int(most)}}}"
    pattern = str(schema["pattern"])
    if "minLength" in schema or "maxLength" in schema:
        raise NoGrammar("pattern and length together")
    begin = "" if pattern.startswith("^") else "[^<]*"
    end = "" if pattern.endswith("$") and not pattern.endswith("\\$") else "[^<]*"
    inner = pattern.removeprefix("^").removesuffix("$" if not end else "\0")
    return f"{begin}({inner}){end}"


# ------------------------------------------------------------------ pieces


def _lead(lead: Lead) -> list[Format]:
    if not lead.thinks:
        return _text(lead.before)
    thought = {"type": "tag", "begin": lead.before, "content": {"type": "any_text"}, "end": lead.end}
    return [thought, *_text(lead.after)]


def _text(text: str) -> list[Format]:
    """Exactly this text; nothing where it is empty."""
    return [_exactly(text)] if text else []


def _exactly(text: str) -> Format:
    return {"type": "const_string", "value": text}


def _sequence(*parts: Format) -> Format:
    return parts[0] if len(parts) == 1 else {"type": "sequence", "elements": list(parts)}


def _either(options: list[Format]) -> Format:
    return options[0] if len(options) == 1 else {"type": "or", "elements": options}
