"""Rows of foreign records on disk or on standard input: JSON lines, a JSON array, or one JSON document.

In: paths, `-` for standard input, folders of such files. Out: objects and where each was found. A document of objects
by their id (SWE-bench's `preds.json`) is a row for each. What is no JSON is an InputError with its place.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from katcore.errors import InputError
from katcore.records import Json

SUFFIXES = (".jsonl", ".ndjson", ".json")


def rows(paths: Iterable[Path]) -> Iterator[tuple[Json, str]]:
    """The rows of these files and folders in order."""
    for path in list(paths) or [Path("-")]:
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
            if not found:
                raise InputError(f"{path}: no {', '.join(SUFFIXES)} file in it")
            for file in found:
                yield from _rows(_lines(file), str(file))
        else:
            yield from _rows(_lines(path), "<stdin>" if str(path) == "-" else str(path))


def _lines(path: Path) -> Iterator[bytes]:
    if str(path) == "-":
        yield from sys.stdin.buffer
        return
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error


def _rows(lines: Iterator[bytes], name: str) -> Iterator[tuple[Json, str]]:
    first = next((line for line in lines if not line.isspace()), b"")
    try:
        alone = json.loads(first) if first else None
    except ValueError:
        alone = None
    if first and not isinstance(alone, dict):
        yield from _document(b"".join([first, *lines]), name)
        return
    for number, line in enumerate((first, *lines), 1):
        if line and not line.isspace():
            where = f"{name}: line {number}"
            row = _json(line, where)
            if number == 1 and (named := _named(row)):
                yield from ((each, f"{name}: {key}") for key, each in named.items())
            else:
                yield _object(row, where), where


def _document(data: bytes, name: str) -> Iterator[tuple[Json, str]]:
    whole = _json(data, name)
    if isinstance(whole, list):
        for number, row in enumerate(whole, 1):
            yield _object(row, where := f"{name}: element {number}"), where
    elif named := _named(whole):
        yield from ((row, f"{name}: {key}") for key, row in named.items())
    else:
        yield _object(whole, name), name


def _named(whole: Any) -> dict[str, Json]:
    """The rows of a document that is an object of rows by id; {} for any other."""
    if not isinstance(whole, dict) or not whole:
        return {}
    if all(isinstance(row, dict) and row.get("instance_id") == key for key, row in whole.items()):
        return whole
    return {}


def _json(data: bytes, where: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {error}") from error


def _object(value: Any, where: str) -> Json:
    if not isinstance(value, dict):
        raise InputError(f"{where}: a row is a JSON object")
    return value
