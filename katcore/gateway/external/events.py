"""Server-sent events of an answer that came streamed, and other JSON that endpoints write."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from katcore.gateway.external.reading import Unreadable

_SURROGATE = re.compile("[\ud800-\udfff]")


def is_stream(content_type: str, data: bytes) -> bool:
    """Whether a body is a stream of events, whatever its type says."""
    head = data[:64].lstrip()
    return content_type.startswith("text/event-stream") or head.startswith((b"data:", b"event:", b"id:"))


def events_of(data: bytes) -> Iterator[Any]:
    """The JSON of each event, until `[DONE]`, which is None. Unreadable for an event that is no JSON."""
    lines: list[str] = []
    for line in [*data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line.startswith("data:"):
            lines.append(line.removeprefix("data:").removeprefix(" "))
        if line or not lines:
            continue
        whole, lines = "\n".join(lines), []
        if whole.strip() == "[DONE]":
            yield None
            return
        yield decoded(whole.encode())


def decoded(data: bytes) -> Any:
    """The JSON value of a text, that of lax writers too: raw control characters, half surrogate pairs. Unreadable."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        pass
    try:
        return _clean(json.loads(data.decode("utf-8-sig", "replace"), strict=False))
    except (ValueError, RecursionError):
        raise Unreadable(f"no JSON: {data[:200]!r}") from None


def _clean(value: Any) -> Any:
    """The value with U+FFFD for half a surrogate pair, which no record can hold."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_clean(name): _clean(each) for name, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list) else value
