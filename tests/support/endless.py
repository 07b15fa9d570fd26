"""An end for computing that would have none: so that a test of it fails, and does not hang."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def ends(cpu_s: float = 120.0) -> Iterator[None]:
    """Fail a block that computes for so long; seconds of this process's own time, however busy the machine is."""

    def over(*_: object) -> NoReturn:
        raise AssertionError(f"no end of computing after {cpu_s:g} s")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
