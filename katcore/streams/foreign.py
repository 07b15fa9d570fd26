"""Rows of other people's files, and where each was found: JSON lines, a JSON array, one JSON document, or Parquet.

In: a path, `-` for standard input; a folder of such files. Out: objects as JSON has them. What JSON has not is made of
what it has: times are RFC 3339 text, bytes base64, other types their text, and NaN and Infinity, which Python writes,
null. A document of objects by their id (SWE-bench's `preds.json`) is a row for each. What is no JSON or not UTF-8 is an
InputError with file and line; a row of Parquet with a value that cannot be read carries its `fault`.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterable, Iterator
from datetime import date, time
from pathlib import Path
from typing import Any, NamedTuple

from katcore.errors import InputError, RecordError
from katcore.records import Json, finite

SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")
STDIN = Path("-")
_STDIN = "<stdin>"
_PARQUET = b"PAR1"
_BATCH = 64


class ForeignRow(NamedTuple):
    """One row. `where` says its file and place, `line` the number alone; `raw` is its JSON where it came as such.

    `fault`: why it cannot be used, where that is known already.
    """

    row: Json
    where: str
    path: Path
    line: int = 0
    raw: bytes = b""
    fault: RecordError | None = None

    @property
    def source(self) -> str:
        """The file's name, for a dead letter."""
        return _STDIN if self.path == STDIN else str(self.path)

    @property
    def kept(self) -> bytes:
        """The row's JSON, for a dead letter."""
        return self.raw or json.dumps(self.row).encode()


def read_rows(path: Path) -> Iterator[ForeignRow]:
    """The rows of a file, of standard input, or of all files of a folder in the order of their names."""
    if path == STDIN:
        yield from _json_rows(sys.stdin.buffer, _STDIN, path)
    elif not path.is_dir():
        yield from _read_file(path)
    else:
        files = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
        if not files:
            raise InputError(f"{path}: no {', '.join(SUFFIXES)} file in it")
        for file in files:
            yield from _read_file(file)


def _read_file(path: Path) -> Iterator[ForeignRow]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    with stream:
        if stream.peek(len(_PARQUET)).startswith(_PARQUET):
            yield from _parquet_rows(path)
        else:
            yield from _json_rows(stream, str(path), path)


# ------------------------------------------------------------------------------------------------------------ JSON


def _json_rows(lines: Iterable[bytes], name: str, path: Path) -> Iterator[ForeignRow]:
    numbered = enumerate(lines, 1)
    start, first = next(((number, line) for number, line in numbered if not line.isspace()), (0, b""))
    if not first:
        return
    if not _is_object(first):
        yield from _document(b"\n" * (start - 1) + first + b"".join(line for _, line in numbered), name, path)
        return
    head = _line(first, name, start, path)
    named = _named(head.row)
    yield from (ForeignRow(row, f"{name}: {key}", path, start) for key, row in named.items())
    yield from [] if named else [head]
    for number, line in numbered:
        if not line.isspace():
            yield _line(line, name, number, path)


def _line(data: bytes, name: str, number: int, path: Path) -> ForeignRow:
    where, data = f"{name}: line {number}", data.strip()
    strict = b"NaN" not in data and b"Infinity" not in data  # other readers of JSON take the bytes as they are
    return ForeignRow(_object(_value(data, name, number), where), where, path, number, data if strict else b"")


def _document(data: bytes, name: str, path: Path) -> Iterator[ForeignRow]:
    whole = _value(data, name, 1)
    if isinstance(whole, list):
        for number, row in enumerate(whole, 1):
            yield ForeignRow(_object(row, where := f"{name}: element {number}"), where, path, number)
    elif named := _named(whole):
        yield from (ForeignRow(row, f"{name}: {key}", path) for key, row in named.items())
    else:
        yield ForeignRow(_object(whole, name), name, path)


def _is_object(line: bytes) -> bool:
    """Whether a line is an object by itself, so that each line is one."""
    try:
        return isinstance(json.loads(line.decode()), dict)
    except UnicodeDecodeError:
        return line.lstrip().startswith(b"{") and line.rstrip().endswith(b"}")
    except (ValueError, RecursionError):
        return False


def _named(whole: Any) -> dict[str, Json]:
    """The rows of a document that is an object of rows by id; {} for any other."""
    if not isinstance(whole, dict) or not whole:
        return {}
    if all(isinstance(row, dict) and row.get("instance_id") == key for key, row in whole.items()):
        return whole
    return {}


def _value(data: bytes, name: str, start: int) -> Any:
    """What the bytes, which begin at line `start`, say. InputError with the line where they are not JSON."""
    try:
        return json.loads(data.decode(), parse_constant=_nothing, parse_float=_number)
    except UnicodeDecodeError as error:
        line, why = data.count(b"\n", 0, error.start) + start, f"not UTF-8: {error.reason}"
    except json.JSONDecodeError as error:
        line, why = error.lineno - 1 + start, f"not JSON: {error.msg}"
    except (ValueError, RecursionError) as error:  # an integer of too many digits; too many brackets
        line, why = start, f"not JSON: {error}"
    raise InputError(f"{name}: line {line}: {why}")


def _nothing(name: str) -> None:
    """What NaN, Infinity and -Infinity become."""


def _number(text: str) -> float | None:
    return finite(float(text))


def _object(value: Any, where: str) -> Json:
    if not isinstance(value, dict):
        raise InputError(f"{where}: a row is a JSON object")
    return value


# --------------------------------------------------------------------------------------------------------- Parquet


def _parquet_rows(path: Path) -> Iterator[ForeignRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                for row, why in _rows_of(batch):
                    number += 1
                    where = f"{path}: row {number}"
                    fault = RecordError("input", f"{where}: {why}") if why else None
                    yield ForeignRow(row, where, path, number, fault=fault)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: damaged Parquet: {str(error).partition(chr(10))[0]}") from error


def _rows_of(batch: Any) -> Iterator[tuple[Json, str]]:
    """The rows of a batch, each with why one of its values cannot be read; "" where all can."""
    try:
        yield from ((plain(row), "") for row in batch.to_pylist())
        return
    except ValueError:  # text that is not UTF-8, a time finer than microseconds: which row has it?
        pass
    for at in range(batch.num_rows):
        row, faults = dict[str, Any](), list[str]()
        for name, column in zip(batch.schema.names, batch.columns):
            try:
                row[name] = plain(column[at].as_py())
            except ValueError as error:
                row[name] = None
                faults.append(f"{name} cannot be read: {str(error).partition('. ')[0]}")
        yield row, "; ".join(faults)


def plain(value: Any) -> Any:
    """A value of Parquet, TOML or YAML as JSON has it."""
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, date | time) else str(value)
