"""Hypothesis strategies for any record, from the structs, with fields that no struct knows strewn in at every level."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from msgspec import inspect

names = st.text(st.characters(codec="utf-8"), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False, allow_infinity=False) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
json_objects = st.dictionaries(names, json_values, max_size=3)
times = st.one_of(
    st.datetimes().map(lambda t: t.isoformat() + "Z"),
    st.datetimes().map(lambda t: t.isoformat(timespec="seconds") + "+05:30"),
    st.sampled_from(["2024-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+10:00"]),
)


def values(of: inspect.Type) -> st.SearchStrategy[Any]:
    """JSON values that the type allows; every struct may have fields that it does not know."""
    match of:
        case inspect.UnionType(types=types):
            return st.one_of([values(one) for one in types])
        case inspect.NoneType():
            return st.none()
        case inspect.Metadata(type=inspect.StrType()):
            return times
        case inspect.Metadata():
            return st.floats(width=32, allow_nan=False, allow_infinity=False) | st.floats(-1e300, 1e300)
        case inspect.IntType(ge=None):
            return st.integers(-(2**63), 2**64 - 1)
        case inspect.IntType():
            return st.integers(-(2**31), 2**31 - 1)
        case inspect.FloatType():
            return st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
        case inspect.BoolType():
            return st.booleans()
        case inspect.StrType(pattern=None):
            return names
        case inspect.StrType():
            return times
        case inspect.LiteralType(values=allowed):
            return st.sampled_from(allowed)
        case inspect.DictType(value_type=inspect.AnyType()):
            return json_objects
        case inspect.DictType(value_type=value):
            return st.dictionaries(names, values(value), max_size=3)
        case inspect.ListType(item_type=item):
            return st.lists(values(item), max_size=3)
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(values, items)).map(list)
        case inspect.StructType():
            return objects(of)
    raise TypeError(of)


def objects(of: inspect.StructType) -> st.SearchStrategy[dict[str, Any]]:
    known = {field.encode_name for field in of.fields} | {"schema"}
    unknown = st.dictionaries(names.filter(lambda name: name not in known), json_values, max_size=2)
    tag = {"schema": st.just(of.tag)} if of.tag else {}
    required = {field.encode_name: values(field.type) for field in of.fields if field.required}
    optional = {field.encode_name: values(field.type) for field in of.fields if not field.required}
    return st.tuples(unknown, st.fixed_dictionaries(tag | required, optional=optional)).map(lambda two: two[0] | two[1])
