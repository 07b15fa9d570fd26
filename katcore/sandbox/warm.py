"""Boxes that are started ahead of the work: along an ordered schedule, so many at once, never used twice.

In: a kind of sandbox and the specs in the order in which they will be wanted. Out: the box of the next spec, ready. One
that died while it waited is replaced, and one that could not be started is tried once more when its turn comes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from katcore.errors import SandboxError
from katcore.sandbox import Box, Sandbox, Spec

RETRY_S = 1.0
"""Before a start that failed is repeated."""


class WarmQueue:
    """At most `ahead` boxes wait at any time. `take` may be called from several threads."""

    def __init__(self, sandbox: Sandbox, specs: Iterable[Spec], ahead: int = 4) -> None:
        self._sandbox = sandbox
        self._specs = iter(specs)
        self._ahead = max(1, ahead)
        self._starters = ThreadPoolExecutor(self._ahead, thread_name_prefix="warm-box")
        self._waiting: deque[tuple[Spec, Future[Box]]] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._fill()

    def __enter__(self) -> WarmQueue:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def take(self) -> Box | None:
        """The box of the next spec, which the caller closes; None when the schedule is over. Raises SandboxError."""
        with self._lock:
            if not self._waiting:
                return None
            spec, started = self._waiting.popleft()
            self._fill()
        try:
            box = started.result()
        except SandboxError:
            time.sleep(RETRY_S)
            return self._sandbox.create(spec)
        if box.status() == "ready":
            return box
        box.close()
        return self._sandbox.create(spec)

    def close(self) -> None:
        """Close every box that nobody took."""
        with self._lock:
            self._closed = True
            waiting, self._waiting = list(self._waiting), deque()
        for _, started in waiting:
            if not started.cancel() and started.exception() is None:
                started.result().close()
        self._starters.shutdown()

    def _fill(self) -> None:
        while not self._closed and len(self._waiting) < self._ahead:
            spec = next(self._specs, None)
            if spec is None:
                return
            self._waiting.append((spec, self._starters.submit(self._sandbox.create, spec)))
