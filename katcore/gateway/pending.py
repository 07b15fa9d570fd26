"""An answer on its way: who waits for it sees it grow, and may leave without stopping it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from katcore.gateway.dialects import Reply


class PendingAnswer:
    """One call's answer. `reasoning` and `text` are as much of it as is sure, and on disk."""

    task: asyncio.Task[Reply]

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.prompt_tokens = 0
        self.reasoning = ""
        self.text = ""
        self._news = asyncio.Event()

    @property
    def failed(self) -> bool:
        """Whether it has ended without an answer."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    @property
    def seen(self) -> tuple[int, int]:
        """How much there is."""
        return len(self.reasoning), len(self.text)

    def grow(self, reasoning: str, text: str) -> None:
        """More of it; what is shorter than before says nothing new."""
        if len(reasoning) > len(self.reasoning) or len(text) > len(self.text):
            self.reasoning, self.text = max(self.reasoning, reasoning, key=len), max(self.text, text, key=len)
            self.tell()

    def tell(self) -> None:
        """Wake up who waits."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, seen: tuple[int, int], seconds: float) -> None:
        """Until there is more than was seen, or it has ended, or so many seconds are over."""
        if self.task.done() or self.seen != seen:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
