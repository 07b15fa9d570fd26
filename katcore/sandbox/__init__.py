"""Sandboxes: a place where untrusted code runs, and nothing of this machine is seen.

A box is created from a spec, used through `exec`, `put` and `get`, and closed. Every `exec` sees the files that the
ones before it left behind; processes do not outlive their `exec`. A process that fails is a `Result`; a box that fails
raises `SandboxError`. Variants, one file each: `bubblewrap` (daemon-less, the default) and `docker` (an engine).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from katcore.options.boxes import BoxOptions  # not more: the reaper imports this without any package installed

PYTHON = "/opt/python/bin/python3"
"""A Python interpreter in every box, without anybody's site-packages."""
ENV = "/opt/env"
"""The path at which a task's built environment is mounted, read-only except while it is built."""
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
    """The limits of a box; `_mib` are MiB, `_s` seconds.

    `memory_mib` and `pids` are of the box, `cpu_s` and `file_mib` of one process. `cpus` is a share of processors over
    time (0: all there are). `disk_mib` is what the box writes altogether; it is looked at every few seconds, and the
    process that was running is ended. `output_bytes` is kept of each stream of one `exec`; the rest is counted and
    dropped.
    """

    memory_mib: int = 4096
    pids: int = 512
    cpu_s: int = 3600
    cpus: float = 0.0
    file_mib: int = 4096
    disk_mib: int = 8192
    output_bytes: int = 1 << 20


Status = Literal["ready", "closed", "dead"]
"""The state of a box; `dead`: its container or folder is gone though nobody closed it."""


@dataclass(frozen=True)
class Snapshot:
    """The files of a box at one moment, kept under a name by the kind of sandbox that made it."""

    sandbox: str
    name: str


@dataclass(frozen=True)
class Spec:
    """The description from which a box is made.

    `repo` is a folder of this machine that appears at `workdir`, copied on write: the original never changes. `socket`
    is the gateway's unix socket on this machine. `network` is for building environments alone. With `snapshot` the box
    starts from the files of another one; `repo` must be the same, it is what `changed` compares with. `image` names the
    image (`exported.py`) that the box is made of, instead of the sandbox's own base; what that has at `workdir` is not
    seen, and its variables are set beneath `env`.
    """

    name: str
    repo: Path | None = None
    workdir: str = WORKDIR
    mounts: tuple[Mount, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    socket: Path | None = None
    network: bool = False
    snapshot: Snapshot | None = None
    image: str = ""
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Result:
    """The result of one process. `code` is its exit status, 128 + n after signal n; 124 when the time was up.

    `limit` names the limit of the whole box that ended it: `disk` (code 153, as for a file that is too large).
    """

    code: int
    stdout: bytes = b""
    stderr: bytes = b""
    timed_out: bool = False
    truncated: bool = False
    seconds: float = 0.0
    limit: str = ""


class Seen(NamedTuple):
    """A path's type and permissions, as `st_mode`; of a link also where it leads."""

    mode: int
    link: str | None


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

    def seen(self, names: Sequence[str]) -> dict[str, Seen]:
        """What lies at paths below the workdir, relative to it; without what is not there or behind a link."""

    def status(self) -> Status:
        """Whether the box can take another process."""

    def snapshot(self) -> Snapshot:
        """The box's files as they are now; a box created with it starts from them."""

    def close(self) -> None:
        """End every process of the box, also of a call in another thread, and forget its files. May be called twice."""


class Sandbox(Protocol):
    """A kind of sandbox."""

    @property
    def name(self) -> str:
        """The kind's name in `SANDBOXES`."""

    def check(self) -> None:
        """Raise SandboxError with one clear line when this machine cannot run such boxes."""

    def create(self, spec: Spec) -> Box:
        """A new box of this description. Raises SandboxError."""


SANDBOXES = {"bubblewrap": "katcore.sandbox.bubblewrap:Bubblewrap", "docker": "katcore.sandbox.docker.sandbox:Docker"}
"""The kinds of sandbox: `module:class` by name."""


def sandbox_name(name: str, runtime: str = "") -> str:
    """A sandbox's whole name: that of its kind, and for Docker perhaps `:RUNTIME`. UsageError for one that is none."""
    from katcore.errors import UsageError

    whole = f"{name}:{runtime}" if runtime else name
    kind, colon, after = whole.partition(":")
    if kind not in SANDBOXES:
        raise UsageError(f"unknown sandbox {kind!r}", hint=f"one of: {', '.join(SANDBOXES)}")
    if colon and (kind != "docker" or not after or ":" in after):
        raise UsageError(f"{whole!r} is no sandbox: only docker has runtimes, and a box has one")
    return whole


def name_of(boxes: BoxOptions) -> str:
    """The whole name that the options give. UsageError for one that is none."""
    return sandbox_name(boxes.sandbox, boxes.runtime)


def sandbox(name: str = "bubblewrap") -> Sandbox:
    """The sandbox of that whole name, checked. There is no unsandboxed one."""
    from importlib import import_module

    kind, _, runtime = sandbox_name(name).partition(":")
    module, _, made_by = SANDBOXES[kind].partition(":")
    made: Sandbox = getattr(import_module(module), made_by)(**({"runtime": runtime} if runtime else {}))
    made.check()
    return made
