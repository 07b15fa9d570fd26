"""Arrow tables of records: schemas derived from the structs, and rows there and back without loss.

A schema is never inferred from data: a batch in which a field happens to be null has the type of all others. What a
column cannot hold (fields that the struct does not know, a time written in another way, a float that is not a
float32) lies in `kat.residual`: a JSON overlay on what the columns give back (`overlay.py`).
"""

from __future__ import annotations

import datetime
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
import pyarrow as pa  # noqa: TID253  imported where Parquet is read or written, never for --help
from msgspec import Struct, inspect

import katcore
from katcore.errors import InputError, first_line
from katcore.records import CallTime, Int32, Time, json_object, tag_of
from katcore.streams.lines import TAGS, Line
from katcore.streams.overlay import lay_over, overlay

KINDS = {tag: kind for kind, tag in TAGS.items()}
RESIDUAL = "kat.residual"
_INT64 = range(-(2**63), 2**63)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_INT32 = inspect.type_info(Int32)
_TIMES = (inspect.type_info(Time), inspect.type_info(CallTime))
_FLAT: dict[Any, Any] = {pa.int32(): "i", pa.int64(): "q", pa.float32(): "f", pa.float64(): "d"}


# ------------------------------------------------------------------------------------------------------ schemas


@cache
def schema(kind: type[Struct], loose: bool = False) -> pa.Schema:
    """The Arrow schema of a record type; `loose` allows nulls everywhere, for files that others have rewritten."""
    own = [_field(name, of, loose) for name, of in _fields(kind)]
    tag = pa.field("schema", pa.string(), nullable=loose)
    residual = pa.field(RESIDUAL, pa.string(), metadata={"kat.json": "true"})
    return pa.schema([tag, *own, residual], metadata={"kat.schema": tag_of(kind), "kat.version": katcore.__version__})


@cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, inspect.Type], ...]:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    return tuple((field.encode_name, field.type) for field in info.fields)


def _field(name: str, of: inspect.Type, loose: bool) -> pa.Field:
    inner, optional = _optional(of)
    metadata = {"kat.json": "true"} if _is_json(inner) else None
    return pa.field(name, _type(inner, loose), nullable=optional or loose, metadata=metadata)


def _type(of: inspect.Type, loose: bool) -> pa.DataType:
    if of in _TIMES:
        return pa.timestamp("us", "UTC")
    match of:
        case inspect.Metadata(type=inspect.FloatType(), extra_json_schema={"format": "float32"}):
            return pa.float32()
        case inspect.IntType():
            return pa.int32() if of == _INT32 else pa.int64()
        case inspect.FloatType():
            return pa.float64()
        case inspect.BoolType():
            return pa.bool_()
        case inspect.StrType() | inspect.LiteralType() | inspect.DictType(value_type=inspect.AnyType()):
            return pa.string()
        case inspect.DictType(value_type=value):
            return pa.map_(pa.string(), _field("value", value, loose))
        case inspect.ListType(item_type=item):
            return pa.list_(_field("element", item, loose))
        case inspect.TupleType(item_types=items):
            return pa.struct([_field(f"_{i}", item, loose) for i, item in enumerate(items)])
        case inspect.StructType(cls=kind):
            return pa.struct([_field(name, inner, loose) for name, inner in _fields(kind)])
    raise TypeError(f"no Arrow type for {of}")


def _optional(of: inspect.Type) -> tuple[inspect.Type, bool]:
    if not isinstance(of, inspect.UnionType):
        return of, False
    (inner,) = [one for one in of.types if not isinstance(one, inspect.NoneType)]
    return inner, True


def _is_json(of: inspect.Type) -> bool:
    return isinstance(of, inspect.DictType) and isinstance(of.value_type, inspect.AnyType)


# ---------------------------------------------------------------------------------------------- records to Arrow


def to_batch(lines: list[Line]) -> pa.RecordBatch:
    """Records of one type as a batch; the residuals come from comparing each line with what its columns give back."""
    kind = type(lines[0].record)
    columns = [
        pa.array([_value(getattr(line.record, name), of) for line in lines], type=schema(kind).field(name).type)
        for name, of in _fields(kind)
    ]
    rebuilt = _rows(kind, columns)
    residuals = [overlay(_untagged(line.raw), row) for line, row in zip(lines, rebuilt)]
    texts = [msgspec.json.encode(one).decode() if one is not None else None for one in residuals]
    tags = pa.array([tag_of(kind)] * len(lines), pa.string())
    return pa.record_batch([tags, *columns, pa.array(texts, pa.string())], schema=schema(kind))


def _untagged(raw: bytes) -> dict[str, Any]:
    members = json_object(raw)
    del members["schema"]  # has a column of its own
    return members


def _value(value: Any, of: inspect.Type) -> Any:
    """A value of a struct as its column takes it; what does not fit becomes a stand-in that the residual replaces."""
    of, _ = _optional(of)
    if value is None:
        return None
    if of in _TIMES:
        return _parse_time(value)
    match of:
        case inspect.IntType():
            return value if value in _INT64 else 0
        case inspect.DictType():
            if _is_json(of):
                return msgspec.json.encode(value).decode()
            return [(key, _value(one, of.value_type)) for key, one in value.items()]
        case inspect.ListType(item_type=item):
            return value if item == _INT32 or isinstance(item, inspect.StrType | inspect.Metadata) else [
                _value(one, item) for one in value
            ]  # fmt: skip
        case inspect.TupleType(item_types=items):
            return {f"_{i}": _value(one, item) for i, (one, item) in enumerate(zip(value, items))}
        case inspect.StructType(cls=kind):
            return {name: _value(getattr(value, name), inner) for name, inner in _fields(kind)}
    return value


def _parse_time(text: str) -> datetime.datetime:
    try:
        time = datetime.datetime.fromisoformat(text)
        return time.astimezone(datetime.UTC) if time.tzinfo else _EPOCH
    except (ValueError, OverflowError):
        return _EPOCH


# ---------------------------------------------------------------------------------------------- Arrow to records


def from_batch(batch: pa.RecordBatch, kind: type[Struct], source: str) -> list[bytes]:
    """The records of a batch as JSON objects. Columns may be missing (defaults) or come in another's types."""
    ours, there = schema(kind), batch.schema.names
    own = [(name, of) for name, of in _fields(kind) if name in there]
    try:
        columns = [_cast(batch.column(name), name, kind) for name, _ in own]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise InputError(f"{source}: not the columns of {tag_of(kind)}: {first_line(error)}") from error
    rows = [{"schema": tag_of(kind)} | row for row in _rows(kind, columns, own)]
    for name in there:
        if name not in ours.names:
            for row, value in zip(rows, batch.column(name).to_pylist()):
                row[name] = value
    if RESIDUAL in there:
        for row, text in zip(rows, batch.column(RESIDUAL).to_pylist()):
            if text is not None:
                lay_over(row, msgspec.json.decode(text))
    return [msgspec.json.encode(row) for row in rows]


def _cast(column: pa.Array, name: str, kind: type[Struct]) -> pa.Array:
    if column.type == schema(kind).field(name).type:
        return column
    return column.cast(schema(kind, loose=True).field(name).type)


def _rows(
    kind: type[Struct], columns: list[pa.Array], own: list[tuple[str, inspect.Type]] | None = None
) -> list[dict[str, Any]]:
    own = list(_fields(kind)) if own is None else own
    values = [_values(column, of) for column, (_, of) in zip(columns, own)]
    names = [name for name, _ in own]
    return [dict(zip(names, row)) for row in zip(*values)]


def _values(column: pa.Array, of: inspect.Type) -> list[Any]:
    """A column as the JSON values that it stands for; whole columns at a time, since token lists are long."""
    of, _ = _optional(of)
    values: list[Any]
    match of:
        case inspect.ListType(item_type=item):
            values = _spread(column, _values(_inside(column, column.values), item))
        case inspect.DictType(value_type=value) if not _is_json(of):
            keys = _inside(column, column.keys).to_pylist()
            pairs = _spread(column, list(zip(keys, _values(_inside(column, column.items), value))))
            values = [dict(pair) for pair in pairs]
        case inspect.TupleType(item_types=items):
            parts = [_values(part, item) for part, item in zip(column.flatten(), items)]
            values = [list(row) for row in zip(*parts)]
        case inspect.StructType(cls=kind):
            values = [*_rows(kind, column.flatten())]
        case _:
            return _scalars(column, of)
    if not column.null_count:
        return values
    return [value if there else None for value, there in zip(values, column.is_valid().to_pylist())]


def _scalars(column: pa.Array, of: inspect.Type) -> list[Any]:
    if not column.null_count and column.type in _FLAT:
        start, data = column.offset, column.buffers()[1]
        return memoryview(data).cast(_FLAT[column.type])[start : start + len(column)].tolist() if len(column) else []
    values = column.to_pylist()
    if of in _TIMES:
        return [None if value is None else value.isoformat().replace("+00:00", "Z") for value in values]
    if _is_json(of):
        return [None if value is None else msgspec.json.decode(value) for value in values]
    return list(values)


def _inside(column: pa.Array, inner: pa.Array) -> pa.Array:
    """The part of a list column's inner array that its (perhaps sliced) rows use."""
    if not len(column):
        return inner[:0]
    offsets = column.offsets
    return inner[offsets[0].as_py() : offsets[-1].as_py()]


def _spread(column: pa.Array, values: list[Any]) -> list[list[Any]]:
    ends = column.offsets.to_pylist()
    first = ends[0] if ends else 0
    return [values[a - first : b - first] for a, b in pairwise(ends)]
