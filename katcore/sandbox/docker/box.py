"""One box of Docker: a warm container, and how processes run in it one after the other.

In: a started container whose first process is `in_box/supervisor.py`, attached. Every `exec` is an exec of the engine,
behind a shell that sets limits and the environment; after it the supervisor ends whatever it left behind, so that
nothing runs between two calls. Closing the attached connection, or dying, ends the container.
"""

from __future__ import annotations

import errno
import os
import posixpath
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from katcore.disk.in_box import program
from katcore.errors import SandboxError
from katcore.sandbox import PYTHON, Limits, Result, Seen, Snapshot, Spec, Status, network, rootfs
from katcore.sandbox.box import FIXED_ENV, READ, WRITE
from katcore.sandbox.docker import files
from katcore.sandbox.docker.engine_api import api_errors
from katcore.sandbox.docker.hijack import Stream, expect, pump
from katcore.sandbox.docker.in_box.supervisor import KILL
from katcore.sandbox.looking import seen_inside
from katcore.sandbox.overlay import GET_MAX
from katcore.sandbox.process import Head

_ARGUMENT_MAX = (32 << 12) - 1
"""The most bytes of one argument: the kernel's MAX_ARG_STRLEN without the NUL."""
_ARGUMENTS_MAX = 1 << 20
_FILE_S = 60.0
_LAST_WAIT_S = 30.0
_LAUNCH = 'cd -- "$1" 2>/dev/null || { echo "no such folder: $1" >&2; exit 126; }; shift; exec env -i "$@"'
_ASK_S = 0.05
_WATCH_S = 2.0
"""Seconds between two looks at the disk space that a box uses."""


class DockerBox:
    """One box. Its calls may come from several threads; they are done one after the other."""

    def __init__(self, spec: Spec, client: Any, container: str, image: str, control: Stream) -> None:
        self.spec = spec
        self.boot_s = 0.0
        self.container, self.image = container, image
        self._client = client
        self._control = control
        self._lock = threading.RLock()
        self._closed = self._dead = False
        self._stop = os.eventfd(0)
        self.when_closed: Callable[[], None] = lambda: None

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
        passed = network.passed_on()[0] if self.spec.network else {}
        shown = {**FIXED_ENV, **passed, **self.spec.env, **(env or {})}
        return self._run(argv, self._absolute(cwd or "."), shown, stdin, timeout_s, self.spec.limits.output_bytes)

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file, folders included; one that is there, be it a link, is replaced."""
        path = self._absolute(path)
        done = self._shell(WRITE, path, f"{mode:o}", stdin=data)
        if done.code == 67:
            raise IsADirectoryError(errno.EISDIR, "a folder in the box", path)
        if done.code != 0:
            raise OSError(errno.EIO, done.stderr.decode("utf-8", "replace").strip() or "cannot be written", path)

    def get(self, path: str) -> bytes:
        """Read a regular file; FileNotFoundError when there is none. Links lead to files of the box alone."""
        path = self._absolute(path)
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
            if self.spec.snapshot is None:  # else the engine compares with the snapshot
                try:
                    with api_errors("a box's changes cannot be read"):
                        return files.changed(self._client, self.container, self.spec.workdir, self.spec.repo)
                except files.Unreadable:
                    pass  # asked of the box, by its own interpreter
                except SandboxError as error:
                    if "file name too long" not in str(error.__cause__):
                        raise
            env = {"PATH": "/usr/bin:/bin"}
            walk = [PYTHON, "-I", "-c", program("katcore.sandbox.docker", "walk")]
            done = self._run(walk, self.spec.workdir, env, None, _FILE_S, GET_MAX)
            if done.code != 0:
                raise SandboxError("a box's changes cannot be read")
            return files.walked(done.stdout, self.spec.repo)

    def seen(self, names: Sequence[str]) -> dict[str, Seen]:
        """What lies at paths below the workdir, relative to it; without what is not there or behind a link."""
        return seen_inside(self, names)

    def status(self) -> Status:
        """Whether the box can take another process."""
        if self._closed:
            return "closed"
        if self._dead:
            return "dead"
        if not self._lock.acquire(blocking=False):
            return "ready"  # busy with a call, which finds out by itself
        try:
            return "ready" if self._end_all() else "dead"
        finally:
            self._lock.release()

    def snapshot(self) -> Snapshot:
        """The box's files as they are now; a box created with it starts from them."""
        with self._lock:
            self._alive()
            with api_errors("a box cannot be kept"):
                conf = {"Labels": {"kat.kind": "snapshot"}}
                made = self._client.commit(self.container, repository="kat/snapshot", conf=conf, pause=False)
        return Snapshot("docker", made["Id"])

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
            self._control.close()
            try:
                with api_errors("a box cannot be removed"):
                    self._remove()
            finally:
                self.when_closed()

    def _remove(self) -> None:
        from docker.errors import APIError, NotFound

        for _ in range(50):
            try:
                self._client.remove_container(self.container, force=True, v=True)
                return
            except NotFound:
                return
            except APIError as error:
                if error.status_code != 409:  # the engine is removing it by itself
                    raise
                time.sleep(0.02)

    def _alive(self) -> None:
        if self._closed:
            raise SandboxError(f"the box {self.spec.name} is closed")
        if self._dead:
            raise SandboxError(f"the container of the box {self.spec.name} has ended")

    def _absolute(self, path: str) -> str:
        if "\0" in path:
            raise ValueError("a path with a NUL byte")
        return posixpath.normpath(posixpath.join(self.spec.workdir, path))

    def _shell(self, script: str, *arguments: str, stdin: bytes | None = None) -> Result:
        argv = ["/bin/sh", "-c", script, "sh", *arguments]
        return self._run(argv, "/", {"PATH": "/usr/bin:/bin"}, stdin, _FILE_S, GET_MAX + 1)

    def _run(
        self, argv: list[str], cwd: str, env: Mapping[str, str], stdin: bytes | None, timeout_s: float, keep: int
    ) -> Result:
        if not argv:
            raise ValueError("no command")
        words = [*(f"{name}={value}" for name, value in {**env, "PWD": cwd}.items()), *argv]
        sizes = [len(os.fsencode(word)) for word in words]
        if max(sizes) > _ARGUMENT_MAX or sum(sizes) > _ARGUMENTS_MAX:
            return Result(126, stderr=b"Argument list too long\n")
        script = f"{rlimits(self.spec.limits)}{_LAUNCH}"
        with self._lock:
            self._alive()
            with api_errors("a process cannot be started in a box"):
                return self._watched(["/bin/sh", "-c", script, "sh", cwd, *words], stdin, timeout_s, keep)

    def _watched(self, command: list[str], stdin: bytes | None, timeout_s: float, keep: int) -> Result:
        user = f"{rootfs.USER}:{rootfs.USER}"
        begun = time.monotonic()
        made = self._client.exec_create(self.container, command, stdin=stdin is not None, user=user, workdir="/")
        stream = Stream(self._client.exec_start(made["Id"], socket=True), stdin)
        heads = {1: Head(keep), 2: Head(keep)}
        full = False
        try:

            def sink(number: int, part: bytes) -> None:
                heads[number].add(part)

            finished = False
            try:
                finished, full = self._pump(made["Id"], stream, sink, begun, begun + timeout_s)
            finally:
                ended = self._end_all()
            if ended:
                pump(stream, sink, time.monotonic() + _LAST_WAIT_S)
        finally:
            stream.close()
        self._alive()
        seconds = time.monotonic() - begun
        out, err = heads[1], heads[2]
        code = 153 if full else 124 if not finished else self._exit_code(made["Id"])
        timed_out, truncated = not finished and not full, out.truncated or err.truncated
        return Result(code, bytes(out.data), bytes(err.data), timed_out, truncated, seconds, "disk" if full else "")

    def _pump(
        self, process: str, stream: Stream, sink: Callable[[int, bytes], None], begun: float, deadline: float
    ) -> tuple[bool, bool]:
        """Whether the process ended by itself, and whether it was ended because the disk that it may use is full.

        What it left in the background may hold its output open: whether it has ended is asked ever less often.
        """
        looked = begun
        while True:
            now = time.monotonic()
            if pump(stream, sink, min(deadline, now + min(_ASK_S + (now - begun) / 4, _WATCH_S)), self._stop):
                return True, False
            if self._closed or time.monotonic() >= deadline:
                return False, False
            if not self._client.exec_inspect(process)["Running"]:
                return True, False
            if time.monotonic() - looked >= _WATCH_S:
                looked = time.monotonic()
                if files.written(self._client, self.container) > self.spec.limits.disk_mib << 20:
                    return False, True

    def _exit_code(self, process: str) -> int:
        deadline = time.monotonic() + _LAST_WAIT_S
        while True:
            found = self._client.exec_inspect(process)
            if not found["Running"] and found["ExitCode"] is not None:
                return int(found["ExitCode"])
            if time.monotonic() > deadline:
                raise SandboxError("the engine does not say how a process of a box ended")
            time.sleep(0.005)

    def _end_all(self) -> bool:
        """Let the supervisor end every other process. False when it is gone, and the container with it."""
        try:
            self._control.send(memoryview(KILL))
        except BrokenPipeError:
            self._dead = True
            return False
        if not expect(self._control, KILL, _LAST_WAIT_S):
            self._dead = True
        return not self._dead


def rlimits(limits: Limits) -> str:
    """Shell lines that bound one process; the container bounds all of them together."""
    lines = ["ulimit -c 0", f"ulimit -t {limits.cpu_s}", f"ulimit -f {limits.file_mib * 2048}"]
    return "".join(f"{line} 2>/dev/null || :\n" for line in lines)
