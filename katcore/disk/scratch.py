"""A folder with a short path for what a process holds only while it lives: sockets, passing files.

In: nothing. Out: `/tmp/kat-run-…` of this process, locked. The kernel drops the lock however the process ends, and
`sweep` removes what nobody holds: at the next start, and by the reaper at once (`sandbox/reaper.py`). Short, because
the path of a Unix socket has at most 107 bytes.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from katcore.disk.lock import claim, seize

TOP = Path("/tmp")
PREFIX = "kat-run-"
LOCK = "lock"

_mine: dict[int, Path] = {}
_locks: dict[Path, int] = {}
_making = threading.Lock()


def scratch() -> Path:
    """This process's folder, made and locked at the first call; what dead processes left is removed then."""
    with _making:
        if (pid := os.getpid()) not in _mine or not _mine[pid].is_dir():
            sweep()
            while not (folder := _claim()):
                pass
            _mine[pid] = folder
            atexit.register(_leave, pid, folder)
        return _mine[pid]


def new_folder() -> Path:
    """An empty folder in it, which the caller removes when it can."""
    return Path(tempfile.mkdtemp(prefix="", dir=scratch()))


@contextmanager
def passing_folder() -> Iterator[Path]:
    """An empty folder in it for a moment."""
    folder = new_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> int:
    """Remove the folders of this user's processes that are gone, and how many those were."""
    gone = 0
    for folder in TOP.glob(f"{PREFIX}*"):
        if folder in _locks:
            continue
        with suppress(OSError):  # somebody else's, or somebody else was faster
            if folder.lstat().st_uid == os.geteuid():
                gone += _remove(folder)
    return gone


def _remove(folder: Path) -> bool:
    descriptor = seize(folder / LOCK)
    if descriptor is None:
        return False
    try:
        shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(descriptor)
    return True


def _claim() -> Path | None:
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=TOP))
    descriptor = claim(folder / LOCK)
    if descriptor is None:
        return None
    _locks[folder] = descriptor
    return folder


def _leave(pid: int, folder: Path) -> None:
    """A forked child has its parent's exit handlers, and leaves the folder alone."""
    if os.getpid() == pid:
        shutil.rmtree(folder, ignore_errors=True)
