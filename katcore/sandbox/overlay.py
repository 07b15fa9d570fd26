"""The files of a box while none of its processes runs: the repository below, what the box wrote above.

In: a lower folder (the repository, never changed) and an upper one, in the kernel overlay's own format with
`userxattr`: a whiteout is a character device 0:0, an opaque folder carries `user.overlay.opaque`. Where overlays cannot
be mounted the upper folder is a whole copy, and nothing shines through. `get` and `put` follow no link: a path that
needs it raises `NeedsBox`, to be done inside the box. Not for use while an overlay over the same folders is mounted.
"""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from katcore.errors import SandboxError
from katcore.sandbox import Seen

OPAQUE = "user.overlay.opaque"
GET_MAX = 64 << 20
"""The most bytes of a file that is read: a box may hold files larger than this machine's memory."""
LEAST = 4096
_DEEPEST = 3000
"""The most characters of a relative path that is visited: hostile trees are deeper than a path can name."""

Place = Path | None


class NeedsBox(Exception):
    """The path leads over a link, or over something else that only the box's own kernel view resolves."""


@dataclass(frozen=True)
class Layers:
    """A tree of one or two layers. `lower` is what the tree is compared with; it shines through when `overlaid`."""

    upper: Path
    lower: Place = None
    overlaid: bool = False

    def get(self, parts: Sequence[str]) -> bytes:
        """Content of a regular file. FileNotFoundError, IsADirectoryError, PermissionError, NeedsBox."""
        place = self._find(parts)
        if place is None:
            raise FileNotFoundError(errno.ENOENT, "no such file in the box", "/".join(parts))
        if place.is_symlink():
            raise NeedsBox
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise IsADirectoryError(errno.EISDIR, "a folder in the box", "/".join(parts))
            if not stat.S_ISREG(status.st_mode):
                raise FileNotFoundError(errno.ENOENT, "not a regular file in the box", "/".join(parts))
            if status.st_size > GET_MAX:
                raise OSError(errno.EFBIG, f"more than {GET_MAX} bytes", "/".join(parts))
            return file.read(GET_MAX)

    def put(self, parts: Sequence[str], data: bytes, mode: int) -> None:
        """Write a file, parents included; a file or a link of that name is replaced. NeedsBox."""
        upper, lower = self.upper, self._shown()
        for name in parts[:-1]:
            above, below = _step(upper, lower, name)
            if not _is_folder(above or below) and (above or below or os.path.lexists(upper / name)):
                raise NeedsBox
            if above is None:
                (upper / name).mkdir()
                (upper / name).chmod(stat.S_IMODE(below.lstat().st_mode) if below else 0o755)
            upper, lower = upper / name, below
        above, below = _step(upper, lower, parts[-1])
        if _is_folder(above or below):
            raise NeedsBox
        target = upper / parts[-1]
        target.unlink(missing_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(descriptor, mode)

    def changed(self) -> list[str]:
        """Files and links that were added, deleted or differ in type, content or permissions, sorted.

        Folders show through what is in them: an empty new folder is no change, a deleted one is each of its files.
        """
        found: set[str] = set()
        waiting: list[tuple[str, Place, Place, bool]] = [("", self.upper, self.lower, self.overlaid)]
        while waiting:
            at, above, below, shining = waiting.pop()
            if len(at) > _DEEPEST:
                found.add(at)
                continue
            if above is not None:
                _open_folder(above)
            for name in _names(above) | (set() if shining else _names(below)):
                path = f"{at}/{name}" if at else name
                left, right = _child(above, name), _child(below, name)
                if _is_folder(left) or _is_folder(right):
                    through = shining and left is not None and _is_folder(left) and not _opaque(left)
                    inner = (left if _is_folder(left) else None, right if _is_folder(right) else None)
                    waiting.append((path, *inner, through))
                files = [place for place in (left, right) if place and not _is_folder(place) and not _whiteout(place)]
                if len(files) == 1 or (len(files) == 2 and not _same(*files)):
                    found.add(path)
        return sorted(found)

    def seen(self, parts: Sequence[str]) -> Seen | None:
        """What lies there; None where nothing does, or where the path leads over a link."""
        try:
            place = self._find(parts)
            if place is None:
                return None
            mode = place.lstat().st_mode
            return Seen(mode, str(place.readlink()) if stat.S_ISLNK(mode) else None)
        except (NeedsBox, OSError):
            return None

    def _shown(self) -> Place:
        return self.lower if self.overlaid else None

    def _find(self, parts: Sequence[str]) -> Place:
        above: Place = self.upper
        below = self._shown()
        for name in parts[:-1]:
            above, below = _step(above, below, name)
            place = above or below
            if place is None:
                return None
            if place.is_symlink():
                raise NeedsBox
            if not _is_folder(place):
                return None
        above, below = _step(above, below, parts[-1])
        return above or below


def remove(folder: Path) -> None:
    """Delete a tree that hostile code wrote: folders without permissions, deeper than a path can name."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except (OSError, RecursionError):
        _open_folders(folder)
        subprocess.run(["rm", "-rf", "--", str(folder)], stderr=subprocess.DEVNULL, check=False)


def written(tops: Sequence[Path], enough: int) -> int:
    """Bytes on disk below the folders; stops counting beyond `enough`. Files with several names count once for each.

    A file counts as a block at least: a disk full of empty ones is full too.
    """
    total, waiting = 0, list(tops)
    while waiting and total <= enough:
        at = waiting.pop()
        try:
            entries = list(os.scandir(at))
        except OSError:  # shut, gone, or deeper than a path can name: its files were counted on the way down
            continue
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            total += max(status.st_blocks * 512, LEAST)
            if stat.S_ISDIR(status.st_mode):
                waiting.append(Path(entry.path))
    return total


def duplicate(source: Path, target: Path) -> None:
    """Copy a layer with its whiteouts, opaque marks and times; shares blocks where the file system can."""
    command = ["cp", "-a", "--reflink=auto", "--sparse=always", "--", str(source), str(target)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise SandboxError(f"a box's files cannot be copied: {done.stderr.decode('utf-8', 'replace').strip()[-200:]}")


def _open_folders(folder: Path) -> None:
    waiting = [folder]
    while waiting:
        at = waiting.pop()
        if len(str(at)) > _DEEPEST:
            continue
        _open_folder(at)
        waiting.extend(Path(entry.path) for entry in os.scandir(at) if entry.is_dir(follow_symlinks=False))


def _open_folder(folder: Path) -> None:
    """Give its owner back the permissions that the box took from a folder."""
    mode = stat.S_IMODE(folder.lstat().st_mode)
    if mode & 0o700 != 0o700:
        folder.chmod(mode | 0o700)


def _step(above: Place, below: Place, name: str) -> tuple[Place, Place]:
    """A name's places in the two layers, None where it is not or where it is hidden."""
    left, right = _child(above, name), _child(below, name)
    if left is None or right is None:
        return None if left and _whiteout(left) else left, right
    if _whiteout(left):
        return None, None
    hidden = not (_is_folder(left) and _is_folder(right)) or _opaque(left)
    return left, None if hidden else right


def _child(folder: Place, name: str) -> Place:
    return folder / name if folder and os.path.lexists(folder / name) else None


def _is_folder(place: Place) -> bool:
    return place is not None and stat.S_ISDIR(place.lstat().st_mode)


def _whiteout(place: Path) -> bool:
    status = place.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _opaque(folder: Path) -> bool:
    try:
        return os.getxattr(folder, OPAQUE, follow_symlinks=False) == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.EOPNOTSUPP):
            return False
        raise


def _names(folder: Place) -> set[str]:
    return set() if folder is None else {entry.name for entry in folder.iterdir()}


def _same(one: Path, other: Path) -> bool:
    left, right = one.lstat(), other.lstat()
    if stat.S_IFMT(left.st_mode) != stat.S_IFMT(right.st_mode):
        return False
    if stat.S_ISLNK(left.st_mode):
        return one.readlink() == other.readlink()
    if stat.S_IMODE(left.st_mode) != stat.S_IMODE(right.st_mode) or left.st_size != right.st_size:
        return False
    if not stat.S_ISREG(left.st_mode):
        return True
    try:
        return filecmp.cmp(one, other, shallow=False)
    except PermissionError:
        return False
