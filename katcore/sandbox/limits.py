"""What a box may use: a cgroup where this machine lets us have one, rlimits everywhere.

In: `Limits`. Out: a `Group` to start processes in (None without a usable cgroup), and shell lines that set both.
Version 1 has one folder per controller; in version 2 the group lies beside or above this process's own, where
controllers are delegated.
Without a cgroup, memory is limited per process and processes are counted by the kernel per user namespace.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from katcore.errors import SandboxError
from katcore.sandbox import Limits

WANTED = ("memory", "pids")
MOUNTS = Path("/proc/self/mounts")
OWN = Path("/proc/self/cgroup")
PREFIX = "kat-"
_LAST_WAIT_S = 10.0
_PERIOD_US = 100_000
OPEN_FILES = 4096
"""The most files that one process may have open."""
_EXTRA_PIDS = 8
"""Processes added to a box's limit, as bubblewrap's own are in the group too."""


@dataclass(frozen=True)
class Group:
    """The cgroup of one box: one folder (version 2) or one for each controller (version 1)."""

    folders: tuple[Path, ...]

    def enter(self) -> str:
        """A shell command that puts the shell, and what it starts from then on, into the group.

        Moving a process waits for all processors to pass through the scheduler: run it beside other work.
        """
        return " && ".join(f"echo $$ >{shlex.quote(str(folder / 'cgroup.procs'))}" for folder in self.folders)

    def kill(self) -> None:
        """Kill all processes of the group, also those that a dying init has not ended yet."""
        for folder in self.folders:
            with suppress(FileNotFoundError):
                for line in (folder / "cgroup.procs").read_text().split():
                    with suppress(ProcessLookupError):
                        os.kill(int(line), signal.SIGKILL)

    def remove(self) -> bool:
        """Remove the group; False when a dying process still holds it after some seconds."""
        return remove([self])

    def _removed(self) -> bool:
        """Whether the group is gone, now at the latest; False where a process is still in it."""
        for folder in self.folders:
            try:
                folder.rmdir()
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise SandboxError(f"{folder} cannot be removed: {error.strerror}") from error
                return False
        return True


def remove(groups: Iterable[Group]) -> bool:
    """Kill what is left in the groups and remove them, all together: what one waits for, the others wait for too.

    False when a dying process still holds one after some seconds.
    """
    deadline, wait_s = time.monotonic() + _LAST_WAIT_S, 0.0005
    while left := [group for group in groups if not group._removed()]:
        if time.monotonic() > deadline:
            return False
        for group in left:
            group.kill()
        time.sleep(wait_s)
        groups, wait_s = left, min(2 * wait_s, 0.1)
    return True


@cache
def parents(mounts: Path = MOUNTS, own: Path = OWN) -> tuple[Path, ...]:
    """The folders in which groups with the wanted controllers can be made; empty where there are none."""
    places = list(_version_1(mounts, own))
    if len(places) == len(WANTED):
        return tuple(places)
    for place in _version_2(mounts, own):
        if set(WANTED) <= set(_read(place / "cgroup.subtree_control").split()) and os.access(place, os.W_OK):
            return (place,)
    return ()


def group(name: str, limits: Limits, places: Sequence[Path]) -> Group | None:
    """Make the group of one box; None where the kernel does not let us, rlimits are all there is then."""
    if not places:
        return None
    made: list[Path] = []
    try:
        for place in [*places, *(_cpu_place() if limits.cpus else ())]:
            folder = place / f"{PREFIX}{name}"
            folder.mkdir()
            made.append(folder)
            _limit(folder, limits)
    except OSError as error:
        Group(tuple(made)).remove()
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT):
            return None
        raise SandboxError(f"no cgroup for a box: {error}") from error
    return Group(tuple(made))


def leftovers(owner: str, places: Sequence[Path]) -> Iterator[Group]:
    """The groups of the runner `owner`, which is gone."""
    for place in [*places, *(_cpu_place() if places else ())]:
        for folder in place.glob(f"{PREFIX}{owner}-*"):
            yield Group((folder,))


def rlimits(limits: Limits, grouped: bool) -> str:
    """Shell lines that limit one process; dash and bash name the limit on processes differently.

    A lower limit that is set already stays.
    """
    lines = ["ulimit -c 0", f"ulimit -t {limits.cpu_s}", f"ulimit -f {limits.file_mib * 2048}"]
    lines.append(f"ulimit -n {OPEN_FILES}")
    if not grouped:
        pids = limits.pids + _EXTRA_PIDS
        lines += [f"ulimit -d {limits.memory_mib * 1024}", f"{{ ulimit -p {pids} || ulimit -u {pids}; }}"]
    return "".join(f"{line} 2>/dev/null || :\n" for line in lines)


def _limit(folder: Path, limits: Limits) -> None:
    memory, pids = str(limits.memory_mib << 20), str(limits.pids + _EXTRA_PIDS)
    quota = str(int(limits.cpus * _PERIOD_US))
    cpu = [("cpu.cfs_quota_us", quota, True), ("cpu.max", f"{quota} {_PERIOD_US}", True)] if limits.cpus else []
    for file, value, needed in (
        ("memory.limit_in_bytes", memory, True),
        ("memory.memsw.limit_in_bytes", memory, True),
        ("memory.max", memory, True),
        ("memory.swap.max", "0", False),
        ("pids.max", pids, True),
        *cpu,
    ):
        try:
            if (folder / file).exists():
                (folder / file).write_text(value)
        except OSError:
            if needed:
                raise


@cache
def _cpu_place() -> tuple[Path, ...]:
    """The folders in which processor shares can be limited: version 1 has a hierarchy of its own for them."""
    return tuple(_version_1(MOUNTS, OWN, ("cpu",)))


def _version_1(mounts: Path, own: Path, wanted: Sequence[str] = WANTED) -> Iterator[Path]:
    """For each wanted controller the folder of this process's group, or the mount's top where that is not shown."""
    tops = {option: Path(line[1]) for line in _fields(mounts) if line[2] == "cgroup" for option in line[3].split(",")}
    mine = {name: path for _, names, path in _groups(own) for name in names.split(",")}
    for controller in wanted:
        if top := tops.get(controller):
            inner = top / mine.get(controller, "/").lstrip("/")
            place = inner if inner.is_dir() else top
            if os.access(place, os.W_OK):
                yield place


def _version_2(mounts: Path, own: Path) -> Iterator[Path]:
    """This process's group and those above it, nearest first: processes live in leaves, so the parent is likelier."""
    tops = [Path(line[1]) for line in _fields(mounts) if line[2] == "cgroup2"]
    mine = [path for number, _, path in _groups(own) if number == "0"]
    if tops and mine:
        place = tops[0] / mine[0].lstrip("/")
        while place != tops[0]:
            yield place
            place = place.parent
        yield tops[0]


def _groups(own: Path) -> Iterator[tuple[str, str, str]]:
    for line in _lines(own):
        number, names, path = line.split(":", 2)
        yield number, names, path


def _fields(mounts: Path) -> list[list[str]]:
    return [line.split(" ") for line in _lines(mounts)]


def _lines(path: Path) -> list[str]:
    """The lines of a file of the kernel's, which escapes spaces and newlines in names and nothing else."""
    return [line for line in _read(path).split("\n") if line]


def _read(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return ""
