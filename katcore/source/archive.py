"""Read a source archive that nobody trusts: tar (plain, gz, bz2, xz) or zip, told apart by content.

In: a file. Out: `members()`, the regular files and symbolic links as (path, mode, content), or a folder filled by
`unpack()`. Refused: paths that leave the folder, links that point out of it, devices, and archives that grow beyond
the caps. A single top folder (`name-version/`), as source releases have it, is taken off. Time stamps and owners are
not kept; of the mode only the executable bit is.
"""

from __future__ import annotations

import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from katcore.errors import InputError

MAX_BYTES = 512 << 20
MAX_MEMBERS = 200_000

FILE, EXECUTABLE, LINK = "100644", "100755", "120000"
"""Git's modes of a member; the content of a link is its target."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive: its path below the top folder, in the bytes of the file system, and its content."""

    path: bytes
    mode: str
    data: bytes
    modified: int = 0


def members(archive: Path, *, strip: bool = True, max_bytes: int = MAX_BYTES) -> list[Member]:
    """All files and links, sorted by path; with `strip` below the one top folder that all of them share."""
    found: dict[bytes, Member] = {}
    total = 0
    try:
        for member in _read(archive, max_bytes):
            total += len(member.data)
            if total > max_bytes or len(found) > MAX_MEMBERS:
                raise InputError(f"{archive.name}: larger than {max_bytes} bytes or {MAX_MEMBERS} files unpacked")
            found[member.path] = member
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
        raise InputError(f"{archive.name}: not a readable archive: {error}") from error
    kept = _below_top(archive, list(found.values())) if strip else list(found.values())
    return _consistent(archive, sorted(kept, key=lambda member: member.path))


def unpack(archive: Path, folder: Path, *, strip: bool = True) -> None:
    """Fill `folder`, which must be empty or absent, with the archive's files."""
    write_archive(members(archive, strip=strip), folder)


def write_archive(files: list[Member], folder: Path) -> None:
    """Write members below a folder; links come last, so that nothing is ever written through one."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"{folder} is not empty")
    root = bytes(folder)
    for member in sorted(files, key=lambda member: member.mode == LINK):
        path = Path((root + b"/" + member.path).decode("utf-8", "surrogateescape"))
        path.parent.mkdir(parents=True, exist_ok=True)
        if member.mode == LINK:
            path.symlink_to(member.data.decode("utf-8", "surrogateescape"))
        else:
            path.write_bytes(member.data)
            path.chmod(0o755 if member.mode == EXECUTABLE else 0o644)


def _read(archive: Path, max_bytes: int) -> Iterator[Member]:
    if zipfile.is_zipfile(archive) and not tarfile.is_tarfile(archive):
        yield from _read_zip(archive, max_bytes)
    else:
        yield from _read_tar(archive, max_bytes)


def _read_tar(archive: Path, max_bytes: int) -> Iterator[Member]:
    with tarfile.open(archive) as tar:
        for entry in tar:
            if entry.isdir():
                continue
            path = _inside(archive, entry.name)
            if entry.issym():
                yield Member(path, LINK, _target(archive, path, entry.linkname), int(entry.mtime))
            elif entry.isreg() or entry.islnk():
                file = tar.extractfile(_linked(archive, tar, entry) if entry.islnk() else entry)
                assert file is not None
                mode = EXECUTABLE if entry.mode & 0o100 else FILE
                yield Member(path, mode, file.read(max_bytes + 1), int(entry.mtime))
            else:
                raise InputError(f"{archive.name}: {entry.name} is neither a file nor a link")


def _linked(archive: Path, tar: tarfile.TarFile, entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """The file of the archive that a hard link names."""
    try:
        found = tar.getmember(entry.linkname)
    except KeyError:
        found = None
    if found is None or not found.isreg():
        raise InputError(f"{archive.name}: {entry.name} links to no file of the archive")
    return found


def _read_zip(archive: Path, max_bytes: int) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as file:
        for entry in file.infolist():
            if entry.is_dir():
                continue
            path = _inside(archive, entry.filename)
            unix = entry.external_attr >> 16
            with file.open(entry) as stream:
                data = stream.read(max_bytes + 1)
            if unix & 0o170000 == 0o120000:
                yield Member(path, LINK, _target(archive, path, data.decode("utf-8", "surrogateescape")))
            elif unix & 0o170000 in (0, 0o100000):
                yield Member(path, EXECUTABLE if unix & 0o100 else FILE, data)
            else:
                raise InputError(f"{archive.name}: {entry.filename} is neither a file nor a link")


def _inside(archive: Path, name: str) -> bytes:
    path = posixpath.normpath(name)
    if path.startswith(("/", "../")) or path in ("..", ".") or "\0" in path or ".." in name.split("/"):
        raise InputError(f"{archive.name}: {name!r} leads out of the archive")
    return path.encode("utf-8", "surrogateescape")


def _target(archive: Path, path: bytes, target: str) -> bytes:
    """A link's target; it may go up as far as the archive's own top, and no further."""
    reached = posixpath.normpath(posixpath.join(posixpath.dirname(path.decode("utf-8", "surrogateescape")), target))
    if target.startswith("/") or reached.startswith("../") or reached == ".." or not target:
        raise InputError(f"{archive.name}: the link {path!r} leads out of the archive")
    return target.encode("utf-8", "surrogateescape")


def _below_top(archive: Path, files: list[Member]) -> list[Member]:
    tops = {member.path.partition(b"/")[0] for member in files}
    if len(tops) != 1 or any(b"/" not in member.path for member in files):
        raise InputError(f"{archive.name}: not a source release: its files are not in one top folder")
    top = len(tops.pop()) + 1
    for member in files:
        if member.mode == LINK:
            _target(archive, member.path[top:], member.data.decode("utf-8", "surrogateescape"))
    return [Member(member.path[top:], member.mode, member.data, member.modified) for member in files]


def _consistent(archive: Path, files: list[Member]) -> list[Member]:
    """Refuse a file or a link that is also the folder of another member: writing could follow it."""
    names = {member.path for member in files}
    for member in files:
        parent = posixpath.dirname(member.path)
        while parent:
            if parent in names:
                raise InputError(f"{archive.name}: {parent!r} is both a file and a folder")
            parent = posixpath.dirname(parent)
    return files
