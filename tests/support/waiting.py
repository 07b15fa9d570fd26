"""Waiting for what another process or thread does, and failing where it does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(look: Callable[[], T], seconds: float = 120.0) -> T:
    """What `look` gives as soon as it is true. AssertionError with what it gave last: so long means never."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"did not happen in {seconds:g} s: {found!r}"
        time.sleep(0.02)
    return found
