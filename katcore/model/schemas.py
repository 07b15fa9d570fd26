"""JSON Schemas as constraints: what of one a grammar cannot enforce, and where a reference leads.

In: a schema as agents send it. Out: a word on what would be ignored, so that it is refused and not dropped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any] | bool
ONE = ("additionalProperties", "items", "propertyNames", "unevaluatedItems", "unevaluatedProperties")
SEVERAL = ("allOf", "anyOf", "oneOf", "prefixItems")
NAMED = ("$defs", "definitions", "patternProperties", "properties")
IGNORED = (
    *("if", "then", "else", "not", "contains", "minContains", "maxContains", "uniqueItems", "multipleOf"),
    *("dependentRequired", "dependentSchemas", "dependencies", "$dynamicRef"),
)
"""Keywords that xgrammar 0.2 reads over, with no word or with one in a log."""
ALONE = ("$ref", "anyOf", "oneOf", "allOf")
"""Keywords beside which it reads over others."""
SAID = {
    *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "discriminator"),
    *("$schema", "$id", "$comment", "$defs", "definitions"),
}
"""Keywords that ask for nothing."""
FORMATS = {
    *("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri", "uri-reference"),
    *("uri-template", "json-pointer", "relative-json-pointer"),
}
"""String formats that it writes grammars for."""


def unenforced(schema: Any) -> str:
    """What of a schema a grammar would ignore, with its place; empty when it enforces all of it."""
    return next((f"{found} at {place}" for part, place in _parts(schema, "#") if (found := _ignored(part))), "")


def _ignored(part: dict[str, Any]) -> str:
    """The first thing of one schema, without those within it, that a grammar would ignore."""
    for name in IGNORED:
        if part.get(name) not in (None, False):
            return name
    if "format" in part and part["format"] not in FORMATS:
        return f"format {part['format']!r}"
    if sum(("format" in part, "pattern" in part, "minLength" in part or "maxLength" in part)) > 1:
        return "format, pattern and length together"
    if isinstance(part.get("allOf"), list) and len(part["allOf"]) > 1:
        return "allOf of several"
    if not str(part.get("$ref", "#")).startswith("#"):
        return "a reference to another document"
    for name in ALONE:
        others = sorted(key for key in part if name in part and key not in SAID | {name} and not key.startswith("x-"))
        if others:
            return f"{others[0]} beside {name}"
    properties, required = part.get("properties") or {}, part.get("required") or []
    if isinstance(required, list) and (missing := [key for key in required if key not in properties]):
        return f"required {missing[0]!r}, which properties lack,"
    values = [part["const"]] if "const" in part else part.get("enum") or []
    if isinstance(part.get("type"), str) and any(not _is(value, part["type"]) for value in values):
        return "a value of another type"
    return ""


def _is(value: Any, kind: str) -> bool:
    """Whether a value is of a type by its name in JSON Schema; an unknown name is for the library to refuse."""
    if isinstance(value, bool) or kind == "boolean":
        return isinstance(value, bool) and kind == "boolean"
    kinds: dict[str, type | tuple[type, ...]] = {"string": str, "integer": int, "number": (int, float), "array": list}
    return isinstance(value, kinds.get(kind, object if kind != "null" else type(None)))


def deeper(value: Any, levels: int) -> bool:
    """Whether JSON is nested in more levels than these."""
    inner = [value] if isinstance(value, dict | list) else []
    for _ in range(levels):
        if not inner:
            return False
        children = [child for each in inner for child in (each.values() if isinstance(each, dict) else each)]
        inner = [child for child in children if isinstance(child, dict | list)]
    return bool(inner)


def bounds_text(schema: Any) -> bool:
    """Whether a schema bounds the length of a string somewhere."""
    return any("minLength" in part or "maxLength" in part for part, _ in _parts(schema, "#"))


def resolved(schema: Any, root: Any) -> Any:
    """The schema that a chain of references within `root` (`#/$defs/NAME`) leads to; a loose end stays as it is."""
    for _ in range(64):
        if not isinstance(schema, dict) or not isinstance(schema.get("$ref"), str):
            break
        found: Any = root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/") if schema["$ref"] != "#" else ():
            found = found.get(step.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        if found is None:
            break
        schema = found
    return schema


def _parts(schema: Any, place: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Every schema within a schema, with its JSON pointer."""
    if not isinstance(schema, dict):
        return
    yield schema, place
    for name in ONE:
        yield from _parts(schema.get(name), f"{place}/{name}")
    for name in SEVERAL:
        several = schema.get(name)
        for index, each in enumerate(several if isinstance(several, list) else ()):
            yield from _parts(each, f"{place}/{name}/{index}")
    for name in NAMED:
        named = schema.get(name)
        for key, each in named.items() if isinstance(named, dict) else ():
            yield from _parts(each, f"{place}/{name}/{key}")
