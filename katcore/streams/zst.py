"""The zstd container of record streams, and the check that none of it is missing.

A finished file of ours is: a skippable frame that marks it, data frames, a skippable frame with the number of records
and the sha256 of the uncompressed bytes. Other zstd tools pass over the two extra frames. Finished files may be
concatenated. Files of others are read too: only the ends of their own frames can be checked.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator

import msgspec
import zstandard

from katcore.errors import InputError

FRAME = b"\x28\xb5\x2f\xfd"
MAGIC = 0x184D2A5B  # one of the sixteen magic numbers of skippable frames
MARK = b"kat.stream/1"
BLOCK = 1 << 22  # uncompressed bytes a frame: large enough to compress well, small enough to hold
_SLICE = 1 << 14  # compressed bytes given to the decompressor at a time: bounds what a frame's end has to copy
_KEEP = 1 << 12  # of a skippable frame: ours are shorter


class Trailer(msgspec.Struct):
    """What the last frame says about the data frames since the mark."""

    records: int
    sha256: str


class Tally:
    """Counts and hashes what passes, to write a trailer or to check one."""

    def __init__(self) -> None:
        self.records = 0
        self._hash = hashlib.sha256()

    def add(self, data: bytes) -> None:
        """Take note of uncompressed bytes: a record is a line."""
        self.records += data.count(b"\n")
        self._hash.update(data)

    def trailer(self) -> Trailer:
        """What has passed so far."""
        return Trailer(self.records, self._hash.hexdigest())


def is_zstd(head: bytes) -> bool:
    """Whether a file that starts with these (at least four) bytes is zstd, skippable frames included."""
    return head[:4] == FRAME or (len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50)


def mark() -> bytes:
    """The frame that opens a file of ours."""
    return _skippable(MARK)


def frame(data: bytes) -> bytes:
    """One data frame, with its checksum."""
    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def trailer(tally: Tally) -> bytes:
    """The frame that closes a file of ours."""
    return _skippable(MARK + msgspec.json.encode(tally.trailer()))


def data_frame(block: list[bytes], tally: Tally) -> bytes:
    """Lines (without newlines) as one frame, counted in the tally."""
    data = b"".join(line + b"\n" for line in block)
    tally.add(data)
    return frame(data)


def compress(lines: Iterable[bytes]) -> Iterator[bytes]:
    """A finished file around these lines (without newlines): the same lines always give the same bytes."""
    tally, block, size = Tally(), list[bytes](), 0
    yield mark()
    for line in lines:
        block.append(line)
        size += len(line) + 1
        if size >= BLOCK:
            yield data_frame(block, tally)
            block, size = [], 0
    if block:
        yield data_frame(block, tally)
    yield trailer(tally)


def decompress(
    chunks: Iterable[bytes], source: str, warn: Callable[[str], None] | None = None, *, growing: bool = False
) -> Iterator[bytes]:
    """The uncompressed bytes of one or several concatenated files; `growing` takes a file that has no trailer yet."""
    tally: Tally | None = None  # of the file of ours that is open
    foreign = False
    data = _Bytes(chunks, source)
    while data.more():
        magic = data.exactly(4)
        if magic == FRAME:
            foreign = foreign or tally is None
            for piece in _frame(data, source):
                if tally is not None:
                    tally.add(piece)
                yield piece
            continue
        if not is_zstd(magic):
            raise InputError(f"{source}: truncated or damaged: something that is not zstd follows a zstd frame")
        payload = data.skippable()
        if payload == MARK:
            _no_trailer(tally, source, growing)
            tally = Tally()
        elif payload.startswith(MARK) and tally is not None:
            _check(payload[len(MARK) :], tally, source)
            tally = None
    _no_trailer(tally, source, growing)
    if foreign and warn is not None:
        warn(f"{source}: not written by kat: whether whole frames are missing at its end cannot be checked")


class _Bytes:
    """Compressed bytes in the order of arrival; the end of the last piece can be given back."""

    def __init__(self, chunks: Iterable[bytes], source: str) -> None:
        self._chunks = iter(chunks)
        self._source = source
        self._chunk = b""
        self._at = 0

    def more(self) -> bool:
        """Whether anything is left."""
        while self._at == len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._chunk, self._at = chunk, 0
        return True

    def some(self, most: int) -> bytes:
        """Between one and `most` bytes."""
        if not self.more():
            raise InputError(f"{self._source}: truncated: the zstd data ends inside a frame")
        taken = self._chunk[self._at : self._at + most]
        self._at += len(taken)
        return taken

    def give_back(self, count: int) -> None:
        """Undo the end of the last `some`."""
        self._at -= count

    def exactly(self, size: int) -> bytes:
        """Exactly `size` bytes, a few."""
        taken = b""
        while len(taken) < size:
            taken += self.some(size - len(taken))
        return taken

    def skippable(self) -> bytes:
        """The start of a skippable frame's content, its magic number read already."""
        (size,) = struct.unpack("<I", self.exactly(4))
        kept = self.exactly(min(size, _KEEP))
        size -= len(kept)
        while size:
            size -= len(self.some(size))
        return kept


def _frame(data: _Bytes, source: str) -> Iterator[bytes]:
    """The content of one data frame, its magic number read already."""
    inside = zstandard.ZstdDecompressor().decompressobj()
    try:
        piece = inside.decompress(FRAME)
        while not inside.eof:
            if piece:
                yield piece
            piece = inside.decompress(data.some(_SLICE))
    except zstandard.ZstdError as error:
        raise InputError(f"{source}: damaged zstd data: {error}") from error
    if piece:
        yield piece
    data.give_back(len(inside.unused_data))


def _no_trailer(tally: Tally | None, source: str, growing: bool) -> None:
    if tally is not None and not growing:
        raise InputError(f"{source}: truncated: the trailer that ends a finished file is missing")


def _check(payload: bytes, tally: Tally, source: str) -> None:
    try:
        promised = msgspec.json.decode(payload, type=Trailer)
    except msgspec.DecodeError as error:
        raise InputError(f"{source}: damaged trailer: {error}") from error
    found = tally.trailer()
    if promised.records != found.records:
        raise InputError(f"{source}: {found.records} records where the trailer promises {promised.records}")
    if promised.sha256 != found.sha256:
        raise InputError(f"{source}: the records are not those that were written: sha256 differs from the trailer's")


def _skippable(payload: bytes) -> bytes:
    return struct.pack("<II", MAGIC, len(payload)) + payload
