"""Sandboxes: a place where untrusted code runs, and nothing of this machine is seen.

A box is created from a spec, used through `exec`, `put` and `get`, and closed. Every `exec` sees the files that the
ones before it left behind; processes do not outlive their `exec`. A process that fails is a `Result`; a box that fails
raises `SandboxError`. Variants: `bubblewrap` (daemon-less, the default); one file each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

PYTHON = "/opt/python/bin/python3"
"""A Python interpreter in every box, without anybody's site-packages."""
ENV = "/opt/env"
"""Where a task's built environment is mounted (read-only but while it is built)."""
SCAFFOLD = "/opt/scaffold"
"""Where an agent's own files are mounted, read-only."""
GATEWAY = "/run/kat/gateway.sock"
"""The gateway's unix socket: the only way out of a box."""
WORKDIR = "/testbed"
"""Where the repository lies unless the task says otherwise."""


@dataclass(frozen=True)
class Mount:
    """A file or folder of this machine shown in the box, read-only unless said otherwise."""

    source: Path
    target: str
    writable: bool = False


@dataclass(frozen=True)
class Limits:
    """What a box may use. `output_bytes` is kept of each stream of one `exec`; the rest is counted and dropped."""

    memory_mib: int = 4096
    pids: int = 512
    cpu_s: int = 3600
    file_mib: int = 4096
    output_bytes: int = 1 << 20


@dataclass(frozen=True)
class Spec:
    """What a box is made of.

    `repo` is a folder of this machine that appears at `workdir`, copied on write: the original never changes.
    `socket` is the gateway's unix socket on this machine. `network` is for building environments alone.
    """

    name: str
    repo: Path | None = None
    workdir: str = WORKDIR
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    socket: Path | None = None
    network: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Result:
    """What one process did. `code` is its exit status, 128 + n after signal n; 124 when the time was up."""

    code: int
    stdout: bytes = b""
    stderr: bytes = b""
    timed_out: bool = False
    truncated: bool = False
    seconds: float = 0.0


class Box(Protocol):
    """One running sandbox."""

    spec: Spec
    boot_s: float

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

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        """Write a file under the workdir or `/tmp`; relative paths start at the workdir."""

    def get(self, path: str) -> bytes:
        """Read a file; FileNotFoundError when there is none. Links are not followed out of the box."""

    def changed(self) -> list[str]:
        """Files and links that differ from the repo, deleted ones too, relative to the workdir, sorted."""

    def close(self) -> None:
        """End every process of the box, also of a call in another thread, and forget its files. May be called twice."""


class Sandbox(Protocol):
    """A kind of sandbox."""

    name: str

    def check(self) -> None:
        """Raise SandboxError with one clear line when this machine cannot run such boxes."""

    def create(self, spec: Spec) -> Box:
        """Start a box."""


SANDBOXES = {"bubblewrap": "katcore.sandbox.bubblewrap:Bubblewrap"}
"""Name -> `module:class`."""


def sandbox(name: str = "bubblewrap") -> Sandbox:
    """The sandbox of that name, checked. There is no unsandboxed one."""
    from importlib import import_module

    from katcore.errors import UsageError

    if name not in SANDBOXES:
        raise UsageError(f"unknown sandbox {name!r}", hint=f"one of: {', '.join(SANDBOXES)}")
    module, _, kind = SANDBOXES[name].partition(":")
    made: Sandbox = getattr(import_module(module), kind)()
    made.check()
    return made
