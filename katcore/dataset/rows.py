"""Rows of a dataset on disk: JSON lines, a JSON array, or Parquet; and where in it something is wrong.

In: a file or a folder of such files. Out: dicts as JSON has them; times of Parquet become RFC 3339 text, bytes base64.
Writing gives JSON lines, or Parquet where the file's name ends so. Nothing is fetched from anywhere.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, NamedTuple

from katcore.disk.whole import whole
from katcore.errors import InputError, first_line
from katcore.records import Json

EPOCH = "1970-01-01T00:00:00Z"
"""The time of a task whose dataset tells none."""
_SUFFIXES = (".jsonl", ".ndjson", ".json", ".parquet")


class LocatedRow(NamedTuple):
    """One row and where it came from."""

    row: Json
    where: str
    path: Path


def read_rows(path: Path) -> Iterator[LocatedRow]:
    """The rows of a file, or of all files of a folder in the order of their names."""
    if not path.exists():
        raise InputError(f"{path}: No such file or directory")
    if not path.is_dir():
        yield from _read_file(path)
        return
    files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    if not files:
        raise InputError(f"{path}: no {', '.join(_SUFFIXES)} file in it")
    for file in files:
        yield from _read_file(file)


def _read_file(path: Path) -> Iterator[LocatedRow]:
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PAR1"):
        yield from _parquet(path)
    elif head.lstrip()[:1] == b"[":
        for number, row in enumerate(_json(path.read_text(encoding="utf-8"), str(path)), 1):
            yield LocatedRow(_object(row, where := f"{path}: element {number}"), where, path)
    else:
        with path.open(encoding="utf-8", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    where = f"{path}: line {number}"
                    yield LocatedRow(_object(_json(line, where), where), where, path)


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{where}: not JSON: {error}") from error


def _object(value: Any, where: str) -> Json:
    if not isinstance(value, dict):
        raise InputError(f"{where}: a row is a JSON object")
    return value


def _parquet(path: Path) -> Iterator[LocatedRow]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(64):
                for row in batch.to_pylist():
                    number += 1
                    plainly = {name: plain(value) for name, value in row.items()}
                    yield LocatedRow(plainly, f"{path}: row {number}", path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: damaged Parquet: {first_line(error)}") from error


def plain(value: Any) -> Any:
    """A value of Parquet, TOML or YAML as JSON has it."""
    if isinstance(value, dict):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, date):
        return value.isoformat()
    return value


def write_rows(rows: Iterable[Json], path: Path) -> None:
    """All rows into one file: Parquet where its name ends so, else JSON lines."""
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        with whole(path) as file:
            pq.write_table(pa.Table.from_pylist(list(rows)), file, compression="zstd")
        return
    with whole(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def text(row: Json, name: str, default: str | None = None) -> str:
    """A field that must be text; None counts as absent. Raises KeyError or TypeError."""
    value = row.get(name)
    if value is None:
        if default is None:
            raise KeyError(name)
        return default
    if not isinstance(value, str):
        raise TypeError(f"{name} is not text")
    return value


def texts(row: Json, name: str) -> list[str]:
    """A field that is a list of texts, or the JSON text of one."""
    value = row.get(name)
    if isinstance(value, str):
        value = json.loads(value) if value.strip() else []
    if not isinstance(value or [], list) or not all(isinstance(part, str) for part in value or []):
        raise TypeError(f"{name} is not a list of texts")
    return list(value or [])


def when(value: Any) -> str:
    """A time in any of the datasets' ways (ISO with and without a zone, seconds or milliseconds since 1970)."""
    if value in (None, ""):
        return EPOCH
    if isinstance(value, int | float):
        seconds = value / 1000 if value > 1e11 else value
        moment = datetime.fromtimestamp(seconds, UTC)
    else:
        moment = datetime.fromisoformat(str(value).strip().replace(" UTC", "+00:00"))
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.isoformat().replace("+00:00", "Z")
