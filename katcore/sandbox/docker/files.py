"""What a container changed below its working folder, asked of the engine alone: nothing of the container runs for it.

In: a container between two processes, the folder of this machine that its repository came from. Out: the paths of files
and links that differ, as `Box.changed` wants them. The engine knows which paths were touched; whether their type,
permissions or content really differ is found by reading those, and no others, out of the container.
"""

from __future__ import annotations

import json
import os
import posixpath
import stat
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import IO, Any

ONE_BY_ONE = 20
"""The most paths that are read one by one; more are read as one archive of the whole folder."""
_SPOOL = 8 << 20
MOST = 256 << 20
"""The most bytes that are read out of a container, as a file may consist of a huge hole."""


class Unreadable(Exception):
    """The engine cannot say what changed: names that are not UTF-8, or more than one should read."""


Entry = tuple[int, bytes]
"""(type and permissions, digest of a file's content or target of a link)."""


def changed(client: Any, container: str, workdir: str, repo: Path | None) -> list[str]:
    """Files and links that were added, deleted or differ, relative to the working folder, sorted. Unreadable."""
    deleted, touched = _touched(client, container, workdir)
    if any("\ufffd" in path for path in (*deleted, *touched)):
        raise Unreadable
    now = dict(_entries(client, container, workdir, _leaves(touched)))
    suspects = {path for path in touched if path in now}
    if repo is not None:
        suspects |= {path for path in touched if _is_file(repo / path)}
        suspects |= set(_files_below(repo, [*deleted, *suspects]))
    return sorted(path for path in suspects if now.get(path) != _entry_here(repo, path))


def walked(said: bytes, repo: Path | None) -> list[str]:
    """The changed files and links, sorted, from the output of `in_box/walk.py`."""
    now = {path: (mode, bytes.fromhex(data)) for path, (mode, data) in json.loads(said).items()}
    suspects = {*now, *(_files_below(repo, [""]) if repo else ())}
    return sorted(path for path in suspects if now.get(path) != _entry_here(repo, path))


def written(client: Any, container: str) -> int:
    """Bytes that a container has on the engine's disk over its image."""
    url = client._url("/containers/{0}/json", container)  # the SDK's own inspect cannot ask for sizes
    return int(client._result(client._get(url, params={"size": 1}), True).get("SizeRw") or 0)


def _touched(client: Any, container: str, workdir: str) -> tuple[list[str], list[str]]:
    top = workdir.rstrip("/") + "/"
    deleted: list[str] = []
    touched: list[str] = []
    for change in client.diff(container) or []:
        if change["Path"].startswith(top):
            (deleted if change["Kind"] == 2 else touched).append(change["Path"].removeprefix(top))
    return deleted, touched


def _leaves(paths: Iterable[str]) -> list[str]:
    """Paths that have none below them in the list: folders that were only passed through need no reading."""
    ordered = sorted(paths, key=lambda path: path.split("/"))
    return [path for path, after in zip(ordered, [*ordered[1:], ""]) if not after.startswith(f"{path}/")]


def _entries(client: Any, container: str, workdir: str, paths: list[str]) -> Iterator[tuple[str, Entry]]:
    if not paths:
        return
    if len(paths) > ONE_BY_ONE:
        wanted = set(paths)
        for path, entry in _archive(client, container, workdir, ""):
            if path in wanted:
                yield path, entry
        return
    for path in paths:
        yield from _archive(client, container, posixpath.join(workdir, path), path)


def _archive(client: Any, container: str, path: str, called: str) -> Iterator[tuple[str, Entry]]:
    """The files and links of one archive, whose top is the path; they are named as if that were `called`."""
    from docker.errors import NotFound

    try:
        chunks, _ = client.get_archive(container, path)
    except NotFound:
        return
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL) as spool:
        for chunk in chunks:
            if spool.tell() > MOST:
                chunks.close()
                raise Unreadable
            spool.write(chunk)
        spool.seek(0)
        with tarfile.open(fileobj=spool, mode="r:") as archive:
            first: dict[str, Entry] = {}
            for member in archive:
                if entry := _entry(archive, member, first):
                    inside = member.name.partition("/")[2]
                    yield "/".join(filter(None, (called, inside))), entry


def _entry(archive: tarfile.TarFile, member: tarfile.TarInfo, first: dict[str, Entry]) -> Entry | None:
    if member.isdir():
        return None
    if member.issym():
        return stat.S_IFLNK, os.fsencode(member.linkname)
    if member.islnk():
        return first.get(member.linkname, (0, b""))
    if member.isreg():
        content = archive.extractfile(member)
        assert content is not None
        found = (stat.S_IFREG | member.mode & 0o7777, _digest(content))
        first[member.name] = found
        return found
    return (stat.S_IFIFO if member.isfifo() else stat.S_IFCHR) | member.mode & 0o7777, b""


def _entry_here(repo: Path | None, path: str) -> Entry | None:
    if repo is None or not _is_file(repo / path):
        return None
    mode = (repo / path).lstat().st_mode
    if stat.S_ISLNK(mode):
        return stat.S_IFLNK, os.fsencode((repo / path).readlink())
    if not stat.S_ISREG(mode):
        return mode, b""
    with (repo / path).open("rb") as file:
        return mode, _digest(file)


def _digest(file: IO[bytes]) -> bytes:
    total = sha256()
    while chunk := file.read(1 << 20):
        total.update(chunk)
    return total.digest()


def _is_file(place: Path) -> bool:
    """Whether the place is a file or a link, with only real folders on the way to it."""
    try:
        return not stat.S_ISDIR(place.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _files_below(repo: Path, paths: Iterable[str]) -> Iterator[str]:
    """The repository's files below deleted paths, and below folders that something else took the place of."""
    for path in paths:
        top = repo / path
        if _is_file(top):
            yield path
        elif top.is_dir():
            for at, folders, files in os.walk(top):
                links = [name for name in folders if Path(at, name).is_symlink()]
                yield from (str(Path(at, name).relative_to(repo)) for name in [*files, *links])
