"""Read records from files and pipes.

In: paths of JSON lines, zstd or Parquet, told apart by content; stdin where there is no path or `-`. Out: `Line`s in
order. Nothing is ever cut short in silence: whatever is wrong is an `InputError` that names the file and the line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from katcore.errors import InputError
from katcore.records import RECORDS
from katcore.streams.lines import Kinds, Line, record_of, split_lines, tasks_beside

CHUNK = 1 << 18
STDIN = "<stdin>"
PARQUET = b"PAR1"

Warn = Callable[[str], None]


def read_records(
    paths: Sequence[str | Path] = (),
    kinds: Kinds = RECORDS,
    stdin: BinaryIO | None = None,
    warn: Warn | None = None,
) -> Iterator[Line]:
    """The records of these files one after the other; no path or `-` is stdin.

    A record of a type that is not in `kinds` is an error. `warn` gets a line about what could not be checked. The
    tasks that lie beside a Parquet file come ahead of its records, also where that second file is named too.
    """
    names = [Path(path) for path in paths] or [Path("-")]
    beside = {tasks_beside(name) for name in names}
    files = (name for name in names if name not in beside)
    return chain.from_iterable(
        _lines(_chunks(stdin or _stdin(), STDIN), STDIN, kinds, warn)
        if str(name) == "-"
        else _read_file(name, kinds, warn)
        for name in files
    )


def _stdin() -> BinaryIO:
    if sys.stdin is None:
        raise InputError(f"{STDIN}: is closed")
    return sys.stdin.buffer


def _read_file(path: Path, kinds: Kinds, warn: Warn | None) -> Iterator[Line]:
    try:
        stream = path.open("rb")
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    with stream:
        head, chunks = _sniff(_chunks(stream, str(path)))
        if head.startswith(PARQUET):
            yield from _read_parquet(path, kinds)
        elif not head and path.suffix in (".zst", ".parquet"):
            raise InputError(f"{path}: truncated: a {path.suffix} file is never empty")
        else:
            yield from _lines(chunks, str(path), kinds, warn)


def _read_parquet(path: Path, kinds: Kinds) -> Iterator[Line]:
    from katcore.streams import parquet

    if not path.is_file():
        raise InputError(f"{path}: Parquet is read from a file, not from a pipe")
    beside = tasks_beside(path)
    for file in (beside, path) if beside.exists() else (path,):
        for number, raw in enumerate(parquet.read_parquet(file), 1):
            yield Line(record_of(raw, str(file), number, kinds), raw, number, str(file))


def _chunks(stream: BinaryIO, source: str) -> Iterator[bytes]:
    some = getattr(stream, "read1", stream.read)
    try:
        while chunk := some(CHUNK):
            yield chunk
    except OSError as error:
        raise InputError(f"{source}: {error.strerror}") from error


def _sniff(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, four where there are as many, and all chunks."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 4:
            break
    return head, chain((head,), chunks)


def _lines(chunks: Iterator[bytes], source: str, kinds: Kinds, warn: Warn | None) -> Iterator[Line]:
    head, chunks = _sniff(chunks)
    if head.startswith(PARQUET):
        raise InputError(f"{source}: Parquet is read from a file, not from a pipe", hint="name the file")
    if len(head) >= 4 and not head.startswith(b"{"):
        from katcore.streams import zst

        if zst.is_zstd(head):
            chunks = zst.decompress(chunks, source, warn)
    for number, raw in enumerate(split_lines(chunks, source), 1):
        if raw and not raw.isspace():
            yield Line(record_of(raw, source, number, kinds), raw, number, source)
