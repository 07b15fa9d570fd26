"""White images of the size of others."""

from __future__ import annotations

import struct
import zlib

import pytest

from katcore.verify.blank_image import white_like


def size(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and pixels of a grey image; reading checks its sums."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, chunks = 8, {}
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + length]
        assert struct.unpack(">I", png[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    width, height = struct.unpack(">II", chunks[b"IHDR"][:8])
    return width, height, zlib.decompress(chunks[b"IDAT"])


def test_an_image_of_the_same_size() -> None:
    assert size(white_like(white_like(b"")[:16] + struct.pack(">II", 3, 2) + b"rest")) == (3, 2, b"\0\xff\xff\xff" * 2)


@pytest.mark.parametrize("odd", [b"", b"GIF89a", b"\x89PNG\r\n\x1a\n" + b"\xff" * 30], ids=["empty", "gif", "endless"])
def test_what_is_no_image_or_too_large(odd: bytes) -> None:
    assert size(white_like(odd)) == (1, 1, b"\0\xff")
