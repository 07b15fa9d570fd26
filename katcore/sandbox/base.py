"""A root file system that is not this machine's, for boxes of bubblewrap: a folder, a tarball, or an exported image.

In: a folder, or a tar archive as `docker export`, `debootstrap | tar` or an image's own tools write it. Out:
bubblewrap's arguments that show it, read-only, with the places that every box has. An archive is unpacked once into the
cache, under the digest of its bytes; nothing of it is run, links are kept as they are, device nodes are left out, and
no file is set-user-id.
"""

from __future__ import annotations

import tarfile
from hashlib import file_digest
from pathlib import Path

from katcore.cache import cache_dir, fresh, locked, publish
from katcore.errors import SandboxError
from katcore.sandbox import rootfs

OWN = frozenset(["proc", "dev", "tmp", "run", "opt", "sys", "testbed"])
"""Top-level folders that are the box's own."""
PLACES = ("/run", "/sys")


def shown(root: Path) -> list[str]:
    """bubblewrap's arguments for the root file system at a folder or in an archive. Raises SandboxError."""
    top = root if root.is_dir() else unpacked(root)
    arguments: list[str] = []
    for path in sorted(top.iterdir()):
        if path.name in OWN:
            continue
        if path.is_symlink():
            arguments += ["--symlink", str(path.readlink()), f"/{path.name}"]
        else:
            arguments += ["--ro-bind", str(path), f"/{path.name}"]
    if not (top / "bin" / "sh").exists() and not (top / "bin").is_symlink():
        raise SandboxError(f"{root} is no root file system: it has no /bin/sh")
    for place in PLACES:
        arguments += ["--dir", place]
    for name in ("passwd", "group", "hosts", "hostname"):
        if (top / "etc" / name).is_file():
            arguments += ["--ro-bind", str(_own(name)), f"/etc/{name}"]
    return arguments


def unpacked(archive: Path) -> Path:
    """The folder in the cache with what is in the archive."""
    if not archive.is_file():
        raise SandboxError(f"no root file system at {archive}")
    with archive.open("rb") as file:
        final = cache_dir("base") / file_digest(file, "sha256").hexdigest()
    with locked(final):
        if not final.is_dir():
            with fresh("base") as made:
                try:
                    with tarfile.open(archive) as tar:
                        tar.extractall(made, members=filter(_wanted, tar), filter=_safe)
                except (tarfile.TarError, OSError) as error:
                    raise SandboxError(f"{archive} cannot be unpacked: {error}") from error
                publish(made, final)
    return final


def _wanted(member: tarfile.TarInfo) -> bool:
    return not member.isdev() and ".." not in Path(member.name).parts


def _safe(member: tarfile.TarInfo, _: str) -> tarfile.TarInfo:
    """Nobody in particular's, with ordinary permissions; the absolute links of a root file system are meant."""
    name, mode = member.name.lstrip("/"), (member.mode or 0o644) & 0o755 | 0o400
    return member.replace(name=name, mode=mode | 0o100 if member.isdir() else mode, uid=0, gid=0, uname="", gname="")


def _own(name: str) -> Path:
    path = cache_dir("base") / f"etc-{name}"
    text = rootfs.ETC[name]
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path
