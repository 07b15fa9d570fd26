"""What an agent changed, as a git diff that is exact to the byte.

In: a box, and the repository on this machine that it was created with. Out: the patch. The box's own `.git` is never
asked: an agent can write anything there. What the repository ignores, caches, large new files and what cannot be read
stay out, by name. Files that are not UTF-8 become git's binary patches, so that a record of text can hold them.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from katcore.disk.scratch import passing_folder
from katcore.errors import SandboxError
from katcore.sandbox import Box, Seen
from katcore.source.git import ended, isolated, reason
from katcore.source.quoting import quoted

JUNK = {"__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox", ".eggs"}
LARGEST_NEW = 1 << 20


@dataclass(frozen=True)
class File:
    """A file's git mode and its bytes (a link's target)."""

    mode: str
    data: bytes


@dataclass(frozen=True)
class Changes:
    """The changed files by path, None where one is gone; `left_out` are changed paths that no patch will hold."""

    files: dict[str, File | None] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def since(self, earlier: Changes) -> Changes:
        """These changes without those that `earlier` has in the same form."""
        kept = {n: f for n, f in self.files.items() if n not in earlier.files or earlier.files[n] != f}
        return Changes(kept, [name for name in self.left_out if name not in earlier.left_out])


def read_changes(box: Box, repo: Path, ignore: Sequence[str] = ()) -> Changes:
    """What differs in the box from the repository it was created with.

    `ignore` are lines of a .gitignore for what the agent keeps there for itself.
    """
    names = [name for name in _with_covered(repo, box.changed()) if not _junk(name)]
    ignored = _ignored(repo, names, ignore)
    names = [name for name in names if name not in ignored]
    found: dict[str, File | None] = {}
    left_out: list[str] = []
    seen = box.seen(names)
    for name in names:
        try:
            file = _read(box, name, seen.get(name))
        except OSError:  # larger than anybody reads, or shut to its owner
            left_out.append(name)
            continue
        if file is not None and len(file.data) > LARGEST_NEW and not os.path.lexists(repo / name):
            left_out.append(name)
        elif file is not None or os.path.lexists(repo / name):
            found[name] = file
    return Changes(found, left_out)


def diff(repo: Path, changes: Changes) -> str:
    """The patch from the repository to the changes."""
    pairs = {name: (_here(repo / name), file) for name, file in changes.files.items()}
    pairs = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    text = {name: pair for name, pair in pairs.items() if all(f is None or _is_text(f.data) for f in pair)}
    binary = {name: pair for name, pair in pairs.items() if name not in text}
    return (_diff(text, "") + _diff(binary, "* -diff\n")).decode("utf-8")


# ------------------------------------------------------------------ the box


def _read(box: Box, name: str, seen: Seen | None) -> File | None:
    if seen is None:
        return None
    mode, link = seen
    if link is not None:
        return File("120000", os.fsencode(link))
    if not stat.S_ISREG(mode):
        return None
    try:
        return File("100755" if mode & 0o100 else "100644", box.get(name))
    except FileNotFoundError:
        return None


def _with_covered(repo: Path, changed: Iterable[str]) -> list[str]:
    """The paths, and files of the repository that they cover: a folder became a file, or a file a folder."""
    found: set[str] = set()
    for name in changed:
        found.add(name)
        found.update(str(parent) for parent in PurePosixPath(name).parents if _is_file(repo / parent))
        if (repo / name).is_dir() and not (repo / name).is_symlink():
            found.update(str(path.relative_to(repo)) for path in (repo / name).rglob("*") if _is_file(path))
    return sorted(found)


def _is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def _junk(name: str) -> bool:
    parts = name.split("/")
    return any(part in JUNK or part.lower() == ".git" for part in parts) or name.endswith((".pyc", ".pyo"))


# ------------------------------------------------------------------ this machine


def _here(path: Path) -> File | None:
    try:
        mode = path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None
    if stat.S_ISLNK(mode):
        return File("120000", os.fsencode(path.readlink()))
    return File("100755" if mode & 0o100 else "100644", path.read_bytes()) if stat.S_ISREG(mode) else None


def _ignored(repo: Path, names: Sequence[str], more: Sequence[str]) -> set[str]:
    """Untracked paths that the repository, as it was, or one of the lines `more` tells git to ignore."""
    if not names:
        return set()
    asked = b"".join(os.fsencode(name) + b"\0" for name in names)
    with passing_folder() as folder:
        stated = Path(folder, "ignore")
        stated.write_text("".join(f"{line}\n" for line in more), encoding="utf-8")
        told = ("-c", f"core.excludesFile={stated}")
        done = _git(repo, "-C", str(repo), *told, "check-ignore", "-z", "--stdin", data=asked)
    return {os.fsdecode(name) for name in done.split(b"\0") if name}


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _diff(pairs: Mapping[str, tuple[File | None, File | None]], attributes: str) -> bytes:
    """A diff made in an empty repository of its own, where no configuration or attribute of the files counts."""
    if not pairs:
        return b""
    with passing_folder() as folder:
        git = Path(folder, "git")
        place = f"--git-dir={git}"
        for name in ("objects", "refs"):
            (git / name).mkdir(parents=True)
        (git / "HEAD").write_text("ref: refs/heads/new\n")
        stated = Path(folder, "attributes")
        stated.write_text(attributes, encoding="utf-8")
        _git(folder, place, "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet", data=b"".join(_import(pairs)))
        names = ["refs/heads/old", "refs/heads/new"]
        flags = ["-r", "-p", "--binary", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv"]
        return _git(folder, place, "-c", f"core.attributesFile={stated}", "diff-tree", *flags, *names)


def _import(pairs: Mapping[str, tuple[File | None, File | None]]) -> Iterator[bytes]:
    for side, branch in enumerate((b"old", b"new")):
        yield b"commit refs/heads/" + branch + b"\ncommitter kat <kat@localhost> 0 +0000\ndata 0\n"
        for name, pair in sorted(pairs.items()):
            file = pair[side]
            if file is not None:
                head = f"M {file.mode} inline ".encode() + quoted(os.fsencode(name))
                yield head + f"\ndata {len(file.data)}\n".encode() + file.data + b"\n"
        yield b"\n"


def _git(where: Path, *arguments: str, data: bytes = b"") -> bytes:
    done = ended(*arguments, env=isolated(), data=data)
    if done.returncode not in (0, 1):  # check-ignore: 1 is "none"
        raise SandboxError(f"{where}: {reason(done.stderr, done.returncode)}")
    return done.stdout
