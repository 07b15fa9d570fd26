"""Google's schemas, a subset of OpenAPI 3.0 with types in capitals, as JSON Schema."""

from __future__ import annotations

from typing import Any

from katcore.records import Json

NAMES = {
    "anyOf": "anyOf",
    "defs": "$defs",
    "ref": "$ref",
    "maxItems": "maxItems",
    "minItems": "minItems",
    "maxLength": "maxLength",
    "minLength": "minLength",
    "maxProperties": "maxProperties",
    "minProperties": "minProperties",
    "additionalProperties": "additionalProperties",
}
SNAKE = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): name for name in NAMES}
COUNTS = ("maxItems", "minItems", "maxLength", "minLength", "maxProperties", "minProperties")
"""Numbers that the API's JSON writes as strings: they have 64 bits."""
DROPPED = ("propertyOrdering", "property_ordering", "nullable", "example")


def json_schema(given: Json) -> Json:
    """The JSON Schema that says the same. What is JSON Schema already stays what it is."""
    made: Json = {}
    for member, value in given.items():
        name = SNAKE.get(member, member)
        if name not in DROPPED:
            made[NAMES.get(name, name)] = _value(name, value)
    if made.get("type") == "type_unspecified":
        del made["type"]
    if made.get("format") == "enum":
        del made["format"]
    if "example" in given:
        made["examples"] = [given["example"]]
    return _nullable(made) if given.get("nullable") is True else made


def _value(name: str, value: Any) -> Any:
    if name == "type":
        return value.lower() if isinstance(value, str) else value
    if name in ("properties", "defs", "$defs") and isinstance(value, dict):
        return {key: _inner(each) for key, each in value.items()}
    if name in ("items", "additionalProperties"):
        return _inner(value)
    if name in ("anyOf", "prefixItems") and isinstance(value, list):
        return [_inner(each) for each in value]
    if name in COUNTS and isinstance(value, str) and value.isdigit():
        return int(value)
    return value


def _inner(value: Any) -> Any:
    return json_schema(value) if isinstance(value, dict) else value


def _nullable(made: Json) -> Json:
    if isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
        if isinstance(made.get("enum"), list):
            made["enum"] = [*made["enum"], None]
    elif isinstance(made.get("anyOf"), list):
        made["anyOf"] = [*made["anyOf"], {"type": "null"}]
    return made
