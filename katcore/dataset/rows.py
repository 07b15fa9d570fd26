"""The fields of a dataset's row as texts, lists and times; and rows written to a file.

In: dicts as JSON has them. Out: values, or a KeyError, TypeError or ValueError that names the field. Writing gives JSON
lines. Reading files of rows is `katcore.streams.foreign`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from katcore.disk.whole import whole
from katcore.records import Json

EPOCH = "1970-01-01T00:00:00Z"
"""The time of a task whose dataset tells none."""


def write_rows(rows: Iterable[Json], path: Path) -> None:
    """All rows into one file of JSON lines."""
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
        value = json.loads(value) if value.strip() else None
    value = [] if value is None else value
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise TypeError(f"{name} is not a list of texts")
    return list(value)


def when(value: object) -> str:
    """A time in any of the datasets' ways (ISO with and without a zone, seconds or milliseconds since 1970).

    ValueError for what is no time between the years 1 and 9999.
    """
    if value in (None, ""):
        return EPOCH
    try:
        moment = _moment(value)
    except (ValueError, OverflowError, OSError) as error:
        raise ValueError(f"{value!r} is no time: {error}") from error
    return moment.isoformat().replace("+00:00", "Z")


def _moment(value: object) -> datetime:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    moment = datetime.fromisoformat(str(value).strip().replace(" UTC", "+00:00"))
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
