"""Run one launcher process, feed it, keep the head of what it says, and end its whole tree when the time is up.

In: an argument vector, bytes for standard input, a time. Out: `Ended`. The launcher must end as bubblewrap: it reports
the box's first process on a status pipe, and that process is waited for, because it ends only after all others of
its pid namespace.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from katcore.errors import SandboxError

_CHUNK = 1 << 16
_PR_SET_CHILD_SUBREAPER = 36
_LAST_WAIT_S = 30.0
"""Seconds to wait until killed processes are gone."""
_WATCH_S = 2.0


@dataclass
class Ended:
    """The end of a launcher. `exit_code` is the program's own, None when it never ran to its end."""

    returncode: int
    stdout: bytes
    stderr: bytes
    started: bool
    exit_code: int | None
    timed_out: bool
    truncated: bool
    seconds: float


@dataclass
class Head:
    """Keeps the first bytes of a stream and counts the others."""

    limit: int
    data: bytearray = field(default_factory=bytearray)
    truncated: bool = False

    def add(self, chunk: bytes) -> None:
        room = self.limit - len(self.data)
        self.data += chunk[:room]
        self.truncated |= len(chunk) > room


@dataclass
class _Status:
    """What bubblewrap says about the box, a JSON object a line, and a handle on the box's first process."""

    text: bytearray = field(default_factory=bytearray)
    handle: int = -1
    started: bool = False
    exit_code: int | None = None

    def add(self, chunk: bytes) -> None:
        self.text += chunk
        while b"\n" in self.text:
            line, _, rest = bytes(self.text).partition(b"\n")
            self.text = bytearray(rest)
            said: dict[str, Any] = json.loads(line)
            self.exit_code = said.get("exit-code", self.exit_code)
            if "child-pid" in said:
                self.started = True
                with suppress(ProcessLookupError):
                    self.handle = os.pidfd_open(said["child-pid"])

    def wait(self) -> None:
        """Return when the box's first process is gone, and with it all others."""
        if self.handle >= 0:
            poll = select.poll()
            poll.register(self.handle, select.POLLIN)
            if not poll.poll(_LAST_WAIT_S * 1000):
                raise SandboxError(f"the processes of a box did not end within {_LAST_WAIT_S:.0f} s")
            with suppress(ChildProcessError):
                os.waitid(os.P_PIDFD, self.handle, os.WEXITED)

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)


@cache
def _adopt_orphans(_: int) -> None:
    """Make this process the parent of what its children leave behind, once for each process id.

    bubblewrap ends a moment before the box's first process, whose zombie then waits for init; containers often have an
    init that never waits, and would fill up.
    """
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def run(
    argv: Callable[[int], Sequence[str]],
    *,
    env: dict[str, str],
    cwd: str,
    fds: Sequence[int],
    stdin: bytes | None,
    timeout_s: float,
    output_bytes: int,
    kill: Callable[[], None],
    stop: int,
    watch: Callable[[], bool] = lambda: True,
) -> Ended:
    """Start `argv(status_fd)` and see it through. `kill` ends what the launcher's death alone does not.

    `watch` is asked every two seconds whether the program may go on. `stop` is a descriptor that becomes readable when
    somebody wants the process to end before its time.
    """
    _adopt_orphans(os.getpid())
    reader, writer = os.pipe()
    begun = time.monotonic()
    try:
        process = subprocess.Popen(
            argv(writer),
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[writer, *fds],
            bufsize=0,
            process_group=0,  # an interrupt at the terminal is for the runner alone, which then ends it
        )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    out, err, status = Head(output_bytes), Head(output_bytes), _Status()
    finished = False
    try:
        with os.fdopen(reader, "rb", buffering=0) as said, process:
            try:
                sinks: dict[Any, Callable[[bytes], None]] = {
                    said: status.add,
                    process.stdout: out.add,
                    process.stderr: err.add,
                }
                finished = _pump(process, sinks, stdin, begun + timeout_s, stop, watch)
            finally:
                if not finished:
                    process.kill()
                    kill()
            # bubblewrap's last words; a killed one's too, for the handle on the box's first process
            _pump(process, {said: status.add}, None, time.monotonic() + _LAST_WAIT_S)
            returncode = process.wait()
            status.wait()
    finally:
        status.close()
    seconds, truncated = time.monotonic() - begun, out.truncated or err.truncated
    return Ended(
        returncode, bytes(out.data), bytes(err.data), status.started, status.exit_code, not finished, truncated, seconds
    )


def _pump(
    process: subprocess.Popen[bytes],
    sinks: dict[Any, Callable[[bytes], None]],
    stdin: bytes | None,
    deadline: float,
    stop: int | None = None,
    watch: Callable[[], bool] = lambda: True,
) -> bool:
    """Move bytes until the other side has closed all pipes. False when the deadline, `stop` or `watch` came first."""
    rest = memoryview(stdin or b"")
    looked = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for file, sink in sinks.items():
            selector.register(file, selectors.EVENT_READ, sink)
        if process.stdin and not process.stdin.closed:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        pipes = len(selector.get_map())
        if stop is not None:
            selector.register(stop, selectors.EVENT_READ)
        while pipes:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            if time.monotonic() - looked >= _WATCH_S:
                if not watch():
                    return False
                looked = time.monotonic()
            for key, _ in selector.select(min(left, _WATCH_S)):
                if key.fd == stop:
                    return False
                if key.data:
                    chunk = os.read(key.fd, _CHUNK)
                    key.data(chunk)
                    done = not chunk
                else:
                    rest = _feed(key.fd, rest)
                    done = not rest
                if done:
                    pipes -= 1
                    selector.unregister(key.fileobj)
                    if not key.data and process.stdin:
                        process.stdin.close()
    return True


def _feed(descriptor: int, rest: memoryview) -> memoryview:
    """Write what fits and return the rest; a program that does not read its input is no error."""
    try:
        return rest[os.write(descriptor, rest[:_CHUNK]) :] if rest else rest
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]
