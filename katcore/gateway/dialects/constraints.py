"""What the APIs of OpenAI and Anthropic ask of an answer besides its words: a schema, one call at most, a seed, effort.

In: members of a request's body. Out: fields of `Request`. BadRequest names the member that is no such thing.
"""

from __future__ import annotations

from typing import Any

from katcore.gateway.dialects import BadRequest, Schema
from katcore.records import Json

ANY_OBJECT: Json = {"type": "object", "additionalProperties": True}


def response_format(given: Any) -> Schema | None:
    """Chat Completions' `response_format`."""
    wanted = _object(given, "response_format")
    if wanted.get("type") != "json_schema":
        return _unnamed(wanted, "response_format")
    return _named(_object(wanted.get("json_schema"), "response_format.json_schema"), "response_format.json_schema")


def text_format(text: Any) -> Schema | None:
    """Responses' `text.format`."""
    wanted = _object(_object(text, "text").get("format"), "text.format")
    return _named(wanted, "text.format") if wanted.get("type") == "json_schema" else _unnamed(wanted, "text.format")


def output_format(given: Json) -> Schema | None:
    """Anthropic's `output_config.format`, which was `output_format` while it was a beta."""
    config = _object(given.get("output_config"), "output_config")
    field = "output_config.format" if config.get("format") is not None else "output_format"
    wanted = _object(config.get("format") or given.get("output_format"), field)
    return _named(wanted, field) if wanted.get("type") == "json_schema" else _unnamed(wanted, field)


def flag(given: Any, name: str) -> bool | None:
    """True, false, or nothing."""
    if given is not None and not isinstance(given, bool):
        raise BadRequest(f"{name} must be true or false")
    return given


def whole_number(given: Any, name: str) -> int | None:
    """A number without a fraction, or nothing."""
    if given is not None and (isinstance(given, bool) or not isinstance(given, int)):
        raise BadRequest(f"{name} must be a whole number")
    return given


def word(given: Any, name: str) -> str:
    """A word, empty where there is none."""
    if given is not None and not isinstance(given, str):
        raise BadRequest(f"{name} must be a string")
    return given or ""


def member(given: Any, name: str, inner: str) -> Any:
    """A member of an object that may be missing."""
    return _object(given, name).get(inner)


def verbosity_asked(given: Json) -> Json:
    """The verbosity that Responses' clients ask for, as a call records it."""
    verbosity = member(given.get("text"), "text", "verbosity")
    return {} if verbosity is None else {"verbosity": verbosity}


def effort_asked(given: Json) -> Json:
    """The effort that Anthropic's clients ask for, as a call records it."""
    effort = member(given.get("output_config"), "output_config", "effort")
    return {} if effort is None else {"effort": effort}


def thinking_effort(given: Json) -> str:
    """How much Anthropic's clients want thought: `output_config.effort`; `none` where `thinking` is disabled."""
    if member(given.get("thinking"), "thinking", "type") == "disabled":
        return "none"
    return word(member(given.get("output_config"), "output_config", "effort"), "output_config.effort")


def _object(given: Any, name: str) -> Json:
    if given is not None and not isinstance(given, dict):
        raise BadRequest(f"{name} must be an object")
    return given or {}


def _unnamed(wanted: Json, field: str) -> Schema | None:
    """Formats without a schema of the client's own."""
    kind = wanted.get("type")
    if kind in (None, "text"):
        return None
    if kind == "json_object":
        return Schema(ANY_OBJECT, field, "")
    raise BadRequest(f"{field}: the type {str(kind)[:100]!r} is not supported", code="unsupported_value")


def _named(wanted: Json, field: str) -> Schema:
    schema = wanted.get("schema")
    if not isinstance(schema, dict):
        raise BadRequest(f"{field}.schema must be an object")
    return Schema(schema, f"{field}.schema", str(wanted.get("name") or ""), bool(wanted.get("strict", True)))
