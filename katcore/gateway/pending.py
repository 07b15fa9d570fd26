"""An answer on its way: who waits for it sees it grow, may leave without stopping it, and is noted."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from katcore.gateway.dialects import Reply
from katcore.records import Call


class PendingAnswer:
    """The answer of a call under way; `reasoning` and `text` are as much of it as is sure and in the journal.

    `waiting` counts the requests that want it, a retry's among them; `delivered`: one of them has all of it. `call` is
    its record, once there is one.
    """

    task: asyncio.Task[Reply]

    def __init__(self, identity: str, retries: int = 0) -> None:
        self.identity = identity
        self.retries = retries
        self.waiting = 0
        self.delivered = False
        self.call: Call | None = None
        self.prompt_tokens = 0
        self.reasoning = ""
        self.text = ""
        self._news = asyncio.Event()

    @property
    def failed(self) -> bool:
        """Whether the call has ended without an answer."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    @contextmanager
    def wanted(self) -> Iterator[None]:
        """A context in which a request waits for it; left by an exception where the answer did not arrive."""
        self.waiting += 1
        try:
            yield
            self.delivered = True
        finally:
            self.waiting -= 1
            self.mark()

    def mark(self) -> None:
        """Write into the call's record whether the answer has arrived, where that is known."""
        if self.call is not None and (self.delivered or self.waiting == 0):
            self.call.delivered = self.delivered
            self.call.retries = self.retries

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
