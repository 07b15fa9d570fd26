"""The cache: everything that can be made again from a record alone lies under one folder of this machine.

In: a kind (`env`, `src`, `work`, `scaffold`, `llm`) and a name made from content. Out: a path. Entries appear whole or
not at all, whoever else makes the same one at the same time. Nothing is ever evicted here: deleting the folder is safe.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from katcore.disk.lock import take
from katcore.disk.whole import put, sync


def cache_root() -> Path:
    """`$KAT_CACHE`, else `$XDG_CACHE_HOME/kat`, else `~/.cache/kat`."""
    if named := os.environ.get("KAT_CACHE"):
        return Path(named).expanduser().absolute()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser().absolute() / "kat"
    return Path.home() / ".cache" / "kat"


def cache_dir(kind: str) -> Path:
    """The folder of one kind of entries, made when it is not there."""
    folder = cache_root() / kind
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def digest_of(*parts: str | bytes) -> str:
    """SHA-256 over length-prefixed parts, 64 hex digits: the name of an entry."""
    total = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogateescape")
        total.update(len(data).to_bytes(8, "big") + data)
    return total.hexdigest()


@contextmanager
def fresh(kind: str) -> Iterator[Path]:
    """A new empty folder on the cache's own file system, to be filled and published; removed when it was not."""
    folder = Path(tempfile.mkdtemp(prefix=".new-", dir=cache_dir(kind)))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(made: Path, final: Path) -> Path:
    """Rename a finished file or folder to its place; when somebody was faster, theirs stays and ours is removed.

    A file is brought to the disk. A folder is not: an environment has thousands of files, and can be made again.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    if made.is_dir():
        try:
            made.rename(final)
        except OSError:
            if not final.is_dir():
                raise
            shutil.rmtree(made, ignore_errors=True)
    else:
        sync(made)
        put(made, final)
    return final


@contextmanager
def locked(final: Path) -> Iterator[None]:
    """One maker at a time for an entry, among threads and processes of this machine."""
    final.parent.mkdir(parents=True, exist_ok=True)
    descriptor = take(final.parent / f".{final.name}.lock")
    try:
        yield
    finally:
        os.close(descriptor)
