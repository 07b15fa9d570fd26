"""Names of files as git prints them: in double quotes with C's escapes where they hold anything unusual.

In and out: names in bytes, as file systems and git have them. A name that is no UTF-8 is text only in its quoted form.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

QUOTED = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPE = re.compile(rb"\\([0-3][0-7]{2}|.)", re.DOTALL)
_ESCAPES = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v"}


def unquoted(name: bytes) -> bytes:
    """A name without its quotes and escapes; one without quotes as it is."""
    if not name.startswith(b'"'):
        return name
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 8)]) if len(m[1]) == 3 else _ESCAPES.get(m[1], m[1]), name[1:-1])


def quoted(name: bytes) -> bytes:
    """A name in double quotes, as git reads it back."""
    return b'"' + b"".join(b"\\%03o" % c if c < 32 or c > 126 or c in b'"\\' else bytes([c]) for c in name) + b'"'


@lru_cache(maxsize=1 << 16)
def readable(name: bytes) -> str:
    """A name as records have it: itself where it is UTF-8 and begins with no quote, else its quoted form."""
    try:
        return name.decode() if name[:1] != b'"' else quoted(name).decode("ascii")
    except UnicodeDecodeError:
        return quoted(name).decode("ascii")


def place(name: str) -> str:
    """The path that a name of `readable` stands for, in the form of `os.fsdecode`."""
    return os.fsdecode(unquoted(name.encode("utf-8", "surrogateescape")))
