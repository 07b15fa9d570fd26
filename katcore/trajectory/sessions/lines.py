"""Logs that are JSON lines, and logs that are one JSON document.

A line that cannot be read makes a log unreadable, for what stands behind it follows from it. But the last one may be
broken off, where the agent died while it wrote: what stands before it is whole.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from katcore.errors import InputError
from katcore.records import Json
from katcore.trajectory.sessions import BrokenLine


def read_lines(path: Path, cut: list[BrokenLine]) -> list[Json]:
    """The objects of a log. A last line that is broken off goes to `cut`; any other raises BrokenLine."""
    found: list[Json] = []
    lines = _bytes(path).split(b"\n")
    last = max((number for number, line in enumerate(lines, 1) if line.strip()), default=0)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found.append(_object(line))
        except (ValueError, RecursionError) as error:
            broken = BrokenLine(path, number, line, f"not JSON: {error}")
            if number < last or number < len(lines):
                raise broken from None
            cut.append(broken)
    return found


def first_line(path: Path) -> Json:
    """The first object of a log, {} where there is none."""
    try:
        with path.open("rb") as stream:
            return _object(stream.readline())
    except (OSError, ValueError, RecursionError):
        return {}


def read_document(path: Path) -> Any:
    """The JSON document of a file. BrokenLine where it is none."""
    data = _bytes(path)
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError) as error:
        raise BrokenLine(path, 1, data, f"not JSON: {error}") from None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _object(line: bytes) -> Json:
    value = msgspec.json.decode(line)
    if not isinstance(value, dict):
        raise ValueError("a line is a JSON object")
    return value
