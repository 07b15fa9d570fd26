"""Parquet files of records: one type a file, zstd inside, row groups of bounded size.

In and out: `Line`s and JSON objects, as for the other formats. The index of a Parquet file comes last, so a file that
was cut cannot be opened; pages carry checksums.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa  # noqa: TID253
import pyarrow.parquet as pq  # noqa: TID253
from msgspec import Struct

from katcore.disk.whole import synced
from katcore.errors import InputError, KatError, first_line
from katcore.records import Task, tag_of
from katcore.streams import arrow
from katcore.streams.lines import Line

GROUP = 16 << 20  # bytes of JSON in a row group
ROWS = 1 << 14
_BATCH = 64
_KNOWN = "this version of KAT reads " + ", ".join(arrow.KINDS)


def write_parquet(lines: Iterable[Line], path: Path, tasks: Path) -> bool:
    """Write the records to `path`; tasks among records of another type go to `tasks`, and then this returns True."""
    files: dict[type[Struct], _File] = {}
    with ExitStack() as opened:
        for line in lines:
            kind = type(line.record)
            if kind not in files:
                files[kind] = opened.enter_context(_file(tasks if kind is Task else path, arrow.schema(kind)))
                if len(files.keys() - {Task}) > 1:
                    names = " and ".join(tag_of(kind) for kind in files)
                    raise KatError(f"{path}: a Parquet file holds records of one type, not {names}")
            files[kind].add(line)
        if not files:
            opened.enter_context(_file(path, pa.schema([])))
    if set(files) == {Task}:
        tasks.replace(path)
        return False
    return Task in files


class _File:
    """A Parquet file being written: a row group goes out when enough JSON has come."""

    def __init__(self, stream: BinaryIO, schema: pa.Schema) -> None:
        self._writer = pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True)
        self._lines: list[Line] = []
        self._size = 0

    def add(self, line: Line) -> None:
        self._lines.append(line)
        self._size += len(line.raw)
        if self._size >= GROUP or len(self._lines) >= ROWS:
            self._flush()

    def close(self) -> None:
        """Write the rest and the index."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._lines:
            self._writer.write_batch(arrow.to_batch(self._lines), row_group_size=len(self._lines))
        self._lines, self._size = [], 0


@contextmanager
def _file(path: Path, schema: pa.Schema) -> Iterator[_File]:
    with synced(path) as stream:
        file = _File(stream, schema)
        try:
            yield file
        finally:
            file.close()


def read_parquet(path: Path) -> Iterator[bytes]:
    """The records as JSON objects: `schema` first, then the columns in the struct's order, then unknown fields."""
    number = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(_BATCH):
                if batch.num_rows and batch.num_columns:
                    yield from _records(batch, path, number)
                number += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: truncated or damaged Parquet: {first_line(error)}") from error


def _records(batch: pa.RecordBatch, path: Path, before: int) -> list[bytes]:
    """The records of a batch. InputError where a value of others cannot be read (text that is not UTF-8, say)."""
    try:
        return arrow.from_batch(batch, _kind(batch, path), str(path))
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        where = f"{path}: rows {before + 1} to {before + batch.num_rows}"
        raise InputError(f"{where}: a value cannot be read: {first_line(error)}") from error


def _kind(batch: pa.RecordBatch, path: Path) -> type[Struct]:
    """The type of the records, from the schema's metadata or, where others dropped that, from the column `schema`."""
    tag = (batch.schema.metadata or {}).get(b"kat.schema", b"").decode()
    if not tag and "schema" in batch.schema.names:
        tag = str(batch.column("schema")[0].as_py())
    if tag not in arrow.KINDS:
        raise InputError(f"{path}: {tag or 'not a file of records: it has no column schema'}", hint=_KNOWN)
    return arrow.KINDS[tag]
