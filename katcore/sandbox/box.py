"""One box of bubblewrap: its files between two processes, and how a process is started in it.

In: a folder prepared by `bubblewrap.py` (`lower`, `upper`, `tmp`), a link that names it, and bubblewrap's arguments for
what the box sees. Every `exec` mounts the overlay in a mount namespace of its own and starts bubblewrap on it, so
nothing stays mounted or running between two of them, and everything ends with the process that called.
"""

from __future__ import annotations

import errno
import os
import posixpath
import re
import secrets
import shlex
import shutil
import signal
import threading
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from katcore.disk.cache import cache_dir, fresh, publish
from katcore.errors import SandboxError
from katcore.sandbox import Result, Seen, Snapshot, Spec, Status, limits, process, rootfs, seccomp
from katcore.sandbox.looking import seen_inside
from katcore.sandbox.overlay import GET_MAX, Layers, NeedsBox, duplicate, remove, written

FIXED_ENV = {
    "PATH": rootfs.PATH,
    "HOME": rootfs.HOME,
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
}
UNSHARE = ("unshare", "--user", "--map-root-user", "--mount")
OVERLAY = (
    "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr,volatile ../merged || exit 9\n"
)
"""Shell line for a box's folder; all boxes of a runner share the mount point, since each mounts in a namespace of its
own. Volatile: nothing in a box needs to survive the machine, so never sync."""
SHARED = "{ echo 32 >/proc/sys/user/max_inotify_instances; } 2>/dev/null || :\n"
"""Shell line in the box's outer user namespace: without it one box could take all of what its user may have here."""
_FILTER = seccomp.bpf()
_MISSING = re.compile(rb"bwrap: execvp .*: (?P<why>[^:\n]+)\n?$", re.DOTALL)
_NO_FOLDER = re.compile(rb"bwrap: Can't chdir to ")
_BARE = {"PATH": "/usr/bin:/bin"}
_FILE_S = 60.0

READ = f'[ -e "$1" ] || exit 66; [ ! -d "$1" ] || exit 67; [ -f "$1" ] || exit 66; exec head -c {GET_MAX + 1} -- "$1"'
WRITE = '[ ! -d "$1" ] || exit 67; mkdir -p -- "$(dirname -- "$1")" && rm -f -- "$1" && cat >"$1" && chmod "$2" "$1"'


class BubblewrapBox:
    """One box. Its calls may come from several threads; they are done one after the other."""

    def __init__(
        self,
        spec: Spec,
        folder: Path,
        label: Path,
        group: limits.Group | None,
        arguments: list[str],
        overlaid: bool,
    ) -> None:
        self.spec = spec
        self.boot_s = 0.0
        self._folder, self._label = folder, label
        self._group = group
        self._arguments = arguments
        self._overlaid = overlaid
        self._lock = threading.RLock()
        self._closed = self._full = False
        self._stop = os.eventfd(0)
        self._repo = Layers(folder / "upper", spec.repo.absolute() if spec.repo else None, overlaid)
        self._tmp = Layers(folder / "tmp")

    def exec(
        self,
        command: Sequence[str] | str,
        *,
        cwd: str | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes | None = None,
        timeout_s: float = 600.0,
    ) -> Result:
        """Run a program (a string is run by `/bin/bash -c`) in the workdir, and wait for it."""
        argv = ["/bin/bash", "-c", command] if isinstance(command, str) else list(command)
        shown = {**FIXED_ENV, **self.spec.env, **(env or {})}
        return self._run(argv, self._absolute(cwd or "."), shown, stdin, timeout_s, self.spec.limits.output_bytes)

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file, folders included; one that is there, be it a link, is replaced."""
        path = self._absolute(path)
        with self._lock:
            self._alive()
            try:
                layers, parts = self._layers(path)
                layers.put(parts, data, mode)
                return
            except NeedsBox:
                done = self._shell(WRITE, path, f"{mode:o}", stdin=data)
        if done.code == 67:
            raise IsADirectoryError(errno.EISDIR, "a folder in the box", path)
        if done.code != 0:
            raise OSError(errno.EIO, done.stderr.decode("utf-8", "replace").strip() or "cannot be written", path)

    def get(self, path: str) -> bytes:
        """Read a regular file; FileNotFoundError when there is none. Links lead to files of the box alone."""
        path = self._absolute(path)
        with self._lock:
            self._alive()
            try:
                layers, parts = self._layers(path)
                return layers.get(parts)
            except NeedsBox:
                done = self._shell(READ, path)
        if done.code == 0 and len(done.stdout) <= GET_MAX:
            return done.stdout
        if done.code == 66:
            raise FileNotFoundError(errno.ENOENT, "no such file in the box", path)
        if done.code == 67:
            raise IsADirectoryError(errno.EISDIR, "a folder in the box", path)
        if done.code == 0:
            raise OSError(errno.EFBIG, f"more than {GET_MAX} bytes", path)
        raise OSError(errno.EIO, done.stderr.decode("utf-8", "replace").strip() or "cannot be read", path)

    def changed(self) -> list[str]:
        """Files and links of the workdir that differ from the repo, deleted ones included; folders do not count."""
        with self._lock:
            self._alive()
            return self._repo.changed()

    def seen(self, names: Sequence[str]) -> dict[str, Seen]:
        """What lies at paths below the workdir, relative to it; without what is not there or behind a link."""
        with self._lock:
            self._alive()
            if any(
                mount == self.spec.workdir or mount.startswith(f"{self.spec.workdir}/") for mount in self._mounted()
            ):
                return seen_inside(self, names)
            found = {name: self._repo.seen(name.split("/")) for name in names}
        return {name: seen for name, seen in found.items() if seen}

    def status(self) -> Status:
        """Whether the box can take another process."""
        if self._closed:
            return "closed"
        return "ready" if (self._folder / "upper").is_dir() else "dead"

    def snapshot(self) -> Snapshot:
        """The box's files as they are now; a box created with it starts from them."""
        with self._lock:
            self._alive()
            with fresh("snapshot") as made:
                for part in ("upper", "tmp"):
                    duplicate(self._folder / part, made / part)
                name = secrets.token_hex(16)
                publish(made, cache_dir("snapshot") / name)
        return Snapshot("bubblewrap", name)

    def close(self) -> None:
        """End every process of the box, also of a call in another thread, and forget its files. May be called twice."""
        self._closed = True
        if self._stop >= 0:
            os.eventfd_write(self._stop, 1)
        with self._lock:
            if self._stop < 0:
                return
            os.close(self._stop)
            self._stop = -1
            if self._group:
                self._group.remove()
            remove(self._folder)
            self._label.unlink(missing_ok=True)

    def _alive(self) -> None:
        if self._closed:
            raise SandboxError(f"the box {self.spec.name} is closed")

    def _absolute(self, path: str) -> str:
        if "\0" in path:
            raise ValueError("a path with a NUL byte")
        return posixpath.normpath(posixpath.join(self.spec.workdir, path))

    def _layers(self, path: str) -> tuple[Layers, list[str]]:
        """The host's folders behind a path of the box. NeedsBox for what lies elsewhere or is mounted over."""
        if any(path == target or path.startswith(f"{target}/") for target in self._mounted()):
            raise NeedsBox
        for top, layers in ((self.spec.workdir, self._repo), ("/tmp", self._tmp)):
            if path.startswith(f"{top}/"):
                return layers, path.removeprefix(f"{top}/").split("/")
        raise NeedsBox

    def _mounted(self) -> list[str]:
        return [posixpath.normpath(mount.target) for mount in self.spec.mounts]

    def _shell(self, script: str, *arguments: str, stdin: bytes | None = None) -> Result:
        argv = ["/bin/sh", "-c", script, "sh", *arguments]
        return self._run(argv, "/", _BARE, stdin, _FILE_S, GET_MAX + 1)

    def _run(
        self, argv: list[str], cwd: str, env: Mapping[str, str], stdin: bytes | None, timeout_s: float, keep: int
    ) -> Result:
        if not argv:
            raise ValueError("no command")
        options = [*self._arguments, "--chdir", cwd]
        for name, value in env.items():
            options += ["--setenv", name, value]
        # in a file of its own: not in the process table, and of any length
        memory = os.memfd_create("bwrap-args")
        try:
            with os.fdopen(os.dup(memory), "wb") as file:
                file.write(b"\0".join(os.fsencode(option) for option in options))
            with self._lock:
                self._alive()
                os.lseek(memory, 0, os.SEEK_SET)
                return self._ended(argv, memory, stdin, timeout_s, keep)
        finally:
            os.close(memory)

    def _ended(self, argv: list[str], memory: int, stdin: bytes | None, timeout_s: float, keep: int) -> Result:
        if self._overlaid:
            _fresh_work(self._folder)
        self._full = False
        filter_ = os.memfd_create("seccomp")
        try:
            os.write(filter_, _FILTER)
            os.lseek(filter_, 0, os.SEEK_SET)
            filtered = ["--seccomp", str(filter_)] if _FILTER else []
            ended = process.run(
                lambda status: [
                    *self._launcher,
                    *filtered,
                    "--json-status-fd",
                    str(status),
                    "--args",
                    str(memory),
                    "--",
                    *argv,
                ],
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
                cwd=str(self._folder),
                fds=[memory, filter_],
                stdin=stdin,
                timeout_s=timeout_s,
                output_bytes=keep,
                kill=self._group.kill if self._group else lambda: None,
                stop=self._stop,
                watch=self._fits,
            )
        except OSError as error:
            if error.errno == errno.E2BIG:
                return Result(126, stderr=b"Argument list too long\n")
            raise SandboxError(f"bubblewrap cannot be started: {error.strerror}") from error
        finally:
            os.close(filter_)
        self._alive()
        if self._full:
            return Result(153, ended.stdout, ended.stderr, False, ended.truncated, ended.seconds, "disk")
        return _result(ended)

    def _fits(self) -> bool:
        """Whether the box has written no more than its limit of disk."""
        limit = self.spec.limits.disk_mib << 20
        self._full = written([self._folder / "upper", self._folder / "tmp"], limit) > limit
        return not self._full

    @cached_property
    def _launcher(self) -> list[str]:
        """A shell that enters the group, sets limits, mounts the overlay and becomes bubblewrap."""
        lines = [
            f"{{ {self._group.enter()}; }} &" if self._group else "",
            limits.rlimits(self.spec.limits, grouped=self._group is not None),
            OVERLAY + SHARED if self._overlaid else "",
            "wait $! || exit 9" if self._group else "",
            f'unset PATH PWD; exec {shlex.quote(shutil.which("bwrap") or "bwrap")} "$@"',  # the box can read them
        ]
        return [*(UNSHARE if self._overlaid else ()), "/bin/sh", "-c", "\n".join(lines), "sh"]


def _result(ended: process.Ended) -> Result:
    """The result of a process; SandboxError where bubblewrap reports no exit code, as the program never ran."""
    code = ended.exit_code
    if ended.timed_out:
        code = 124
    elif code is None and (missing := _MISSING.search(ended.stderr)):
        code = 127 if missing["why"] == b"No such file or directory" else 126
    elif code is None and _NO_FOLDER.search(ended.stderr):
        code = 126
    elif code is None and ended.started and ended.returncode == -signal.SIGKILL:
        code = 128 + signal.SIGKILL  # out of memory, and the kernel took bubblewrap itself
    if code is None:
        said = " ".join(ended.stderr.decode("utf-8", "replace").split())[:300] or f"status {ended.returncode}"
        raise SandboxError(f"the sandbox failed: {said}")
    return Result(code, ended.stdout, ended.stderr, ended.timed_out, ended.truncated, ended.seconds)


def _fresh_work(folder: Path) -> None:
    """Replace the overlay's work folder: the kernel refuses one that a volatile overlay was mounted with."""
    remove(folder / "work")
    (folder / "work").mkdir()
