"""A root file system that is not this machine's, for boxes of bubblewrap: a folder, a tarball, or an exported image.

In: a folder, or a tar archive as `docker export`, `debootstrap | tar` or an image's own tools write it. Out:
bubblewrap's arguments that show it, read-only, with the places that every box has. An archive is unpacked once into the
cache, under the digest of its bytes; nothing of it is run, links are kept as they are, device nodes are left out, and
no file is set-user-id.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Collection, Iterator
from functools import lru_cache
from hashlib import file_digest
from pathlib import Path, PurePosixPath

from katcore.disk.cache import cache_dir, fresh, locked, publish
from katcore.errors import SandboxError
from katcore.sandbox import rootfs

OWN = frozenset(["proc", "dev", "tmp", "run", "sys"])
"""Top-level folders that are the box's own and not the root file system's."""
SHARED = frozenset(["/opt"])
"""Folders in which both the root file system and the box have something."""
PLACES = ("/run", "/sys")


def shown(root: Path, workdir: str) -> list[str]:
    """bubblewrap's arguments for the root file system at a folder or in an archive, without what it has at the working
    folder or at a place of the box's own. Raises SandboxError."""
    top = root if root.is_dir() else unpacked(root)
    arguments = _below(top, "", {workdir.rstrip("/"), *(target for target, _ in rootfs.LINKS)})
    if not (top / "bin" / "sh").exists() and not (top / "bin").is_symlink():
        raise SandboxError(f"{root} is no root file system: it has no /bin/sh")
    for place in PLACES:
        arguments += ["--dir", place]
    for name in ("passwd", "group", "hosts", "hostname"):
        if (top / "etc" / name).is_file():
            arguments += ["--ro-bind", str(_own(name)), f"/etc/{name}"]
    return arguments


def _below(folder: Path, inside: str, hidden: Collection[str]) -> list[str]:
    """bubblewrap's arguments for a folder; one with a hidden place or one of the box's own is made anew and filled."""
    arguments: list[str] = []
    for path in sorted(folder.iterdir()):
        place = f"{inside}/{path.name}"
        if place in hidden or (not inside and path.name in OWN):
            continue
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), place]
        elif path.is_dir() and (place in SHARED or any(name.startswith(f"{place}/") for name in hidden)):
            arguments += ["--dir", place, *_below(path, place, hidden)]
        else:
            arguments += ["--ro-bind", str(path), place]
    return arguments


def unpacked(archive: Path) -> Path:
    """The cached folder with the archive's content, unpacked at the first call."""
    if not archive.is_file():
        raise SandboxError(f"no root file system at {archive}")
    final = cache_dir("base") / digest(archive)
    with locked(final):
        if not final.is_dir():
            with fresh("base") as made:
                unpack(archive, made)
                publish(made, final)
    return final


def digest(archive: Path) -> str:
    """The SHA-256 of an archive's bytes."""
    status = archive.stat()
    return _digest(archive, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=256)
def _digest(archive: Path, size: int, changed_ns: int) -> str:
    with archive.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, into: Path, *, strip: bool = False) -> None:
    """Unpack an archive that may be anybody's; with `strip`, what is in its one folder. Raises SandboxError."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(into, members=_members(tar, strip), filter=_safe)
    except (tarfile.TarError, OSError) as error:
        raise SandboxError(f"{archive} cannot be unpacked: {error}") from error


def _members(tar: tarfile.TarFile, strip: bool) -> Iterator[tarfile.TarInfo]:
    """Files, folders and links that stay inside: nothing is written or linked through a link of the archive."""
    links: set[str] = set()
    for member in tar:
        name, target = _inside(member.name, strip), _inside(member.linkname, strip) if member.islnk() else ""
        if member.isdev() or name in ("", "."):
            continue
        for path in filter(None, (name, target)):
            parents = {str(parent) for parent in PurePosixPath(path).parents}
            if ".." in PurePosixPath(path).parts or parents & links or target in links:
                raise tarfile.TarError(f"{member.name!r} leads out of the archive")
        if member.issym():
            links.add(name)
        yield member.replace(name=name, linkname=target or member.linkname, deep=False)


def _inside(name: str, strip: bool) -> str:
    path = posixpath.normpath(name.lstrip("/")) if name else ""
    return path.partition("/")[2] if strip else path


def _safe(member: tarfile.TarInfo, _: str) -> tarfile.TarInfo:
    """The member without owner and with ordinary permissions; absolute links stay, as a root file system means them."""
    mode = (member.mode or 0o644) & 0o755 | 0o400
    return member.replace(mode=mode | 0o300 if member.isdir() else mode, uid=0, gid=0, uname="", gname="")


def _own(name: str) -> Path:
    path = cache_dir("base") / f"etc-{name}"
    text = rootfs.ETC[name]
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path
