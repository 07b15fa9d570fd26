"""Pause, drain, resume: what stands between calls and an engine whose weights are being changed.

While it is paused no new generation begins; those under way go on or, where the engine ends them, begin again behind
what they have once it is resumed. All of it on the gateway's event loop.
"""

from __future__ import annotations

import asyncio
import time
from types import TracebackType


class Gate:
    """Lets generations begin while it is open, as at first; `async with gate` holds one generation."""

    def __init__(self) -> None:
        self.pauses = 0
        self.running = 0
        self._open = asyncio.Event()
        self._open.set()
        self._idle = asyncio.Event()
        self._idle.set()
        self._since = 0.0
        self._paused_s = 0.0

    @property
    def paused(self) -> bool:
        """Whether new generations wait."""
        return not self._open.is_set()

    def pause(self) -> None:
        """Let no new generation begin."""
        if not self.paused:
            self.pauses += 1
            self._since = time.monotonic()
            self._open.clear()

    def resume(self) -> None:
        """Open the gate again, so that waiting generations begin."""
        if self.paused:
            self._paused_s += time.monotonic() - self._since
            self._open.set()

    def paused_seconds(self) -> float:
        """Seconds of all pauses together, which no rollout is charged for."""
        return self._paused_s + (time.monotonic() - self._since if self.paused else 0.0)

    async def opened(self) -> None:
        """Return when the gate is open."""
        await self._open.wait()

    async def drained(self) -> None:
        """Return when no generation is running."""
        await self._idle.wait()

    async def __aenter__(self) -> Gate:
        await self._open.wait()
        self.running += 1
        self._idle.clear()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.running -= 1
        if not self.running:
            self._idle.set()
