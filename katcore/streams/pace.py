"""When a growing output is flushed: each item where items are costly, else now and then."""

from __future__ import annotations

import time

BLOCK = 4 << 20
"""Bytes that are written at once at the latest."""
PAUSE_S = 0.5
COSTLY_S = 0.1
"""Items that take longer than this on average are flushed one by one."""


class Pace:
    """When to flush: each item where items are costly, else now and then."""

    def __init__(self) -> None:
        self._start = self._last = time.monotonic()
        self._items = 0

    def due(self, size: int) -> bool:
        """Whether a block of this size should go out, asked once an item."""
        now = time.monotonic()
        self._items += 1
        return size >= BLOCK or now - self._last >= PAUSE_S or now - self._start >= COSTLY_S * self._items

    def flushed(self) -> None:
        """A block went out."""
        self._last = time.monotonic()
