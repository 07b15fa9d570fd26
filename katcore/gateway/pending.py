"""An answer on its way: who waits for it sees it grow, and may leave without stopping it."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from katcore.gateway.dialects import Reply


class PendingAnswer:
    """The answer of a call under way; `reasoning` and `text` are as much of it as is sure and in the journal."""

    task: asyncio.Task[Reply]

    def __init__(self, identity: str) -> None:
        self.identity = identity
        self.prompt_tokens = 0
        self.reasoning = ""
        self.text = ""
        self._news = asyncio.Event()

    @property
    def failed(self) -> bool:
        """Whether the call has ended without an answer."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    @property
    def seen(self) -> tuple[int, int]:
        """Characters of reasoning and of text so far."""
        return len(self.reasoning), len(self.text)

    def grow(self, reasoning: str, text: str) -> None:
        """Set what is sure of reasoning and text; what is shorter than before changes nothing."""
        if len(reasoning) > len(self.reasoning) or len(text) > len(self.text):
            self.reasoning, self.text = max(self.reasoning, reasoning, key=len), max(self.text, text, key=len)
            self.tell()

    def tell(self) -> None:
        """Wake those who wait in `news`."""
        self._news.set()
        self._news = asyncio.Event()

    async def news(self, seen: tuple[int, int], seconds: float) -> None:
        """Return when there is more than was `seen`, when the call has ended, or after so many seconds."""
        if self.task.done() or self.seen != seen:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._news.wait()
