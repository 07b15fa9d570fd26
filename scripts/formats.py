"""docs/formats.md from the structs: a table of fields for every record and every struct inside it.

What nothing here writes yet is marked, so that nobody waits for it (`NOT_PRODUCED`; a test holds it against the code).

Usage: python scripts/formats.py [--check]
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any, get_args

import drift
import msgspec

from katcore import records

NOT_PRODUCED: dict[type[msgspec.Struct], tuple[str, ...]] = {
    records.Issue: ("title", "body", "relevance"),
    records.Instruction: ("language",),
    records.Task: ("tools", "scaffold"),
    records.Node: ("routed_experts",),
    records.Sampling: ("penalties",),
    records.Verdict: ("turn_rewards",),
    records.Pack: ("old_logprob", "ref_logprob"),
    records.Sample: tuple(records.Sample.__struct_fields__),
}
"""Fields that are read, kept and passed on, and that no command fills: they have their default unless others do."""
MARK = "not produced yet"


def name_of(kind: Any) -> str:
    """A type as people write it."""
    known = {
        records.Int32: "int32",
        records.Float32: "float32",
        records.Time: "time",
        records.CallTime: "time",
        records.Json: "object",
    }
    for alias, name in known.items():
        if kind == alias:
            return name
    args = [arg for arg in get_args(kind) if arg is not type(None)]
    if not args:
        return getattr(kind, "__name__", str(kind))
    if type(None) in get_args(kind):
        return f"{' or '.join(map(name_of, args))}, null"
    origin = getattr(kind, "__origin__", kind)
    if origin is list:
        return f"[{name_of(args[0])}]"
    if origin is tuple:
        return f"[{', '.join(map(name_of, args))}]"
    if origin is dict:
        return f"{{{name_of(args[0])} → {name_of(args[1])}}}"
    return " \\| ".join(f"`{arg}`" if isinstance(arg, str) else name_of(arg) for arg in args)


def inside(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """The structs that a type mentions, in order."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from inside(field.type)
    for arg in get_args(kind):
        yield from inside(arg)


def table(kind: type[msgspec.Struct]) -> str:
    """The fields of one struct; those of a struct that nothing produces at all are not marked one by one."""
    unmade = () if is_unmade(kind) else NOT_PRODUCED.get(kind, ())
    rows = ["| field | type | |", "|---|---|---|"]
    for field in msgspec.structs.fields(kind):
        required = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
        notes = ["required"] * required + [MARK] * (field.name in unmade)
        rows.append(f"| `{field.encode_name}` | {name_of(field.type)} | {', '.join(notes)} |")
    return "\n".join(rows)


def is_unmade(kind: type[msgspec.Struct]) -> bool:
    """Whether nothing produces any of its fields."""
    return set(NOT_PRODUCED.get(kind, ())) == set(kind.__struct_fields__)


def about(kind: type[msgspec.Struct]) -> str:
    """What a struct is, before its table."""
    said = inspect.getdoc(kind)
    return f"{said}\n\n*{MARK.capitalize()}*: yours to write." if is_unmade(kind) else f"{said}"


def main() -> int:
    parts = [(drift.ROOT / "docs" / "formats.md.in").read_text(encoding="utf-8").rstrip()]
    for record in records.RECORDS:
        parts.append(f"### {records.tag_of(record)}\n\n{about(record)}\n\n{table(record)}")
        for kind in dict.fromkeys(k for field in msgspec.structs.fields(record) for k in inside(field.type)):
            parts.append(f"#### {kind.__name__}\n\n{about(kind)}\n\n{table(kind)}")
    return drift.settle({"docs/formats.md": "\n\n".join(parts) + "\n"}, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
