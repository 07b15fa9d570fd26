"""Locks that vanish with the process that holds them, however it ends: `flock` on the file at a name.

In: the name of a lock file. Out: an open descriptor; whoever closes it, or dies, lets go. Holders may remove the name,
so a lock counts only where its file still stands at the name. Who waits and what a busy lock means is the caller's.
"""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

PAUSE_S = 0.05
"""Between two tries of somebody who waits for some time."""


def take(name: Path, wait: float | None = None) -> int:
    """Make the file where it is not there, and lock it. BlockingIOError when it is held after `wait` seconds.

    Without `wait` for as long as it takes. The next one is let in by `os.close`; a holder that removes the file does
    so first.
    """
    deadline = None if wait is None else time.monotonic() + wait
    while True:
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if deadline is None else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(descriptor)
            if deadline is None or time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE_S)
            continue
        except BaseException:  # a signal, while waiting
            os.close(descriptor)
            raise
        if stands(descriptor, name):
            return descriptor
        os.close(descriptor)  # the holder before us removed the name: take the lock on the new one


def claim(name: Path) -> int | None:
    """Make the lock file of a new folder and hold it for as long as this process lives; None: a sweeper was faster."""
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    if stands(descriptor, name):
        return descriptor
    os.close(descriptor)
    return None


def seize(name: Path) -> int | None:
    """Lock a file or folder that is there, if nobody holds it; None where somebody does. Makes nothing."""
    access = os.O_RDONLY if name.is_dir() else os.O_RDWR
    descriptor = os.open(name, access | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor


def stands(descriptor: int, name: Path) -> bool:
    """Whether an open file is the one that has this name."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), name.stat())
    return False
