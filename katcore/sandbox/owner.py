"""Where boxes keep their files, and the removal of what runners left that died without a word.

Every process that makes boxes holds a lock on a folder of its own, `$KAT_CACHE/box/<owner>/`, in which its boxes lie. A
folder whose lock nobody holds belongs to nobody: the next runner removes it, cgroups included. The kernel drops the
lock however a process ends, also across containers and reboots, where process ids would mislead.
"""

from __future__ import annotations

import atexit
import os
import secrets
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from katcore.disk.cache import cache_dir, cache_root
from katcore.disk.lock import claim, seize
from katcore.sandbox import limits, reaper
from katcore.sandbox.limits import leftovers
from katcore.sandbox.overlay import remove

LOCK = "lock"
_YOUNG_S = 60.0
"""Seconds for which a folder without a lock file is left alone, as it may just be being made."""

_mine: dict[tuple[int, Path], Path] = {}
_locks: dict[Path, int] = {}
_making = threading.Lock()


def owned() -> Path:
    """This process's folder for boxes: `<cache>/box/<owner>`, made and locked at the first call."""
    top = cache_dir("box")
    key = (os.getpid(), top)
    with _making:
        if key not in _mine or not _mine[key].is_dir():
            top.chmod(0o700)
            while not (folder := _claim(top)):
                pass
            _mine[key] = folder
            reaper.start(cache_root(), folder)
            atexit.register(_leave, os.getpid(), folder)
        return _mine[key]


def sweep(places: Sequence[Path]) -> list[str]:
    """Remove the folders and groups of runners that are gone; their processes died with them."""
    gone = []
    for folder in cache_dir("box").iterdir():
        if folder in _locks or not folder.is_dir():
            continue
        descriptor = _lock(folder)
        if descriptor is None:
            continue
        try:
            if limits.remove(leftovers(folder.name, places)):
                remove(folder)
                gone.append(folder.name)
        finally:
            os.close(descriptor)
    return gone


def held(folder: Path) -> bool:
    """Whether the runner that owns this folder is alive."""
    if folder in _locks:
        return True
    if not folder.is_dir():
        return False
    descriptor = _lock(folder)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None


@contextmanager
def empty_folder() -> Iterator[Path]:
    """A context with an empty temporary folder below this process's own."""
    with tempfile.TemporaryDirectory(prefix="empty-", dir=owned()) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def _claim(top: Path) -> Path | None:
    folder = Path(tempfile.mkdtemp(prefix="", suffix=secrets.token_hex(4), dir=top))
    descriptor = claim(folder / LOCK)
    if descriptor is None:
        return None
    (folder / "merged").mkdir()
    _locks[folder] = descriptor
    return folder


def _lock(folder: Path) -> int | None:
    """The descriptor of a folder's lock, taken now; None where a runner holds it, or may still be making it."""
    try:
        return seize(folder / LOCK)
    except FileNotFoundError:
        pass
    try:
        young = time.time() - folder.stat().st_mtime < _YOUNG_S
        return None if young else seize(folder)
    except FileNotFoundError:
        return None


def _leave(pid: int, folder: Path) -> None:
    """At exit, remove boxes that nobody closed; a forked child, which has its parent's exit handlers, does nothing."""
    if os.getpid() == pid:
        limits.remove(leftovers(folder.name, limits.parents()))
        remove(folder)
