"""Run one launcher process, feed it, keep the head of what it says, and end its whole tree when the time is up.

In: an argument vector, bytes for standard input, a time. Out: `Ended`. The launcher must end as bubblewrap: it reports
the box's first process on a status pipe, and that process is waited for, because it ends only after all others of
its pid namespace.
"""

from __future__ import annotations

import json
import os
import select
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from katcore.errors import SandboxError

_CHUNK = 1 << 16
_LAST_WAIT_S = 30.0
"""For killed processes to be gone."""


@dataclass
class Ended:
    """How the launcher ended. `exit_code` is the program's own, None when it never ran to its end."""

    returncode: int
    stdout: bytes
    stderr: bytes
    started: bool
    exit_code: int | None
    timed_out: bool
    truncated: bool
    seconds: float


@dataclass
class _Head:
    """The first bytes of a stream."""

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
                try:
                    self.handle = os.pidfd_open(said["child-pid"])
                except ProcessLookupError:
                    self.handle = -1

    def wait(self) -> None:
        """Until the box's first process is gone, and with it all others."""
        if self.handle < 0:
            return
        try:
            poll = select.poll()
            poll.register(self.handle, select.POLLIN)
            if not poll.poll(_LAST_WAIT_S * 1000):
                raise SandboxError(f"the processes of a box did not end within {_LAST_WAIT_S:.0f} s")
        finally:
            os.close(self.handle)
            self.handle = -1


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
) -> Ended:
    """Start `argv(status_fd)` and see it through. `kill` ends what the launcher's death alone does not."""
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
        )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    out, err, status = _Head(output_bytes), _Head(output_bytes), _Status()
    finished = False
    try:
        with os.fdopen(reader, "rb", buffering=0) as said, process:
            finished = _pump(process, {said: status.add, process.stdout: out.add, process.stderr: err.add}, stdin,
                             begun + timeout_s)  # fmt: skip
            if not finished:
                process.kill()
                kill()
                # nothing can hold the pipes any more but processes about to die
                _pump(process, {said: status.add}, None, time.monotonic() + _LAST_WAIT_S)
            returncode = process.wait()
            status.wait()
    finally:
        if process.poll() is None:
            process.kill()
            kill()
            process.wait()
        if status.handle >= 0:
            os.close(status.handle)
    truncated = out.truncated or err.truncated
    return Ended(returncode, bytes(out.data), bytes(err.data), status.started, status.exit_code, not finished,
                 truncated, time.monotonic() - begun)  # fmt: skip


def _pump(
    process: subprocess.Popen[bytes], sinks: dict[Any, Callable[[bytes], None]], stdin: bytes | None, deadline: float
) -> bool:
    """Move bytes until all pipes are closed by the other side. False when the deadline came first."""
    with selectors.DefaultSelector() as selector:
        for file, sink in sinks.items():
            selector.register(file, selectors.EVENT_READ, sink)
        rest = memoryview(stdin or b"")
        if process.stdin and not process.stdin.closed:
            os.set_blocking(process.stdin.fileno(), False)
            selector.register(process.stdin, selectors.EVENT_WRITE)
        while selector.get_map():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            for key, _ in selector.select(left):
                if key.data is None:
                    rest = _feed(key.fd, rest)
                    done = not rest
                else:
                    chunk = os.read(key.fd, _CHUNK)
                    key.data(chunk)
                    done = not chunk
                if done:
                    selector.unregister(key.fileobj)
                    if key.data is None and process.stdin:
                        process.stdin.close()
    return True


def _feed(descriptor: int, rest: memoryview) -> memoryview:
    """Write what fits; a program that does not read its input is no error."""
    try:
        return rest[os.write(descriptor, rest[:_CHUNK]) :] if rest else rest
    except BlockingIOError:
        return rest
    except BrokenPipeError:
        return rest[:0]
