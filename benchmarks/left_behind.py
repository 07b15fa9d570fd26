"""What a run of a command has left on this machine: for benchmarks and tests that end one before its time.

In: the run's cache and, while it lives, its process. Out: a line for each process, mount, folder, socket, cgroup and
container that is still there. Files that `--resume` goes on from are none of that.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from katcore.sandbox.limits import parents


def locked(pid: int) -> list[Path]:
    """The folders that the process holds locks in: that of its boxes, that of its sockets."""
    found = []
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            file = descriptor.readlink()
            found += [file.parent] if file.name == "lock" else []
    return found


def left_behind(cache: Path, folders: Sequence[Path]) -> Iterator[str]:
    """What is there of a run with that cache, which held those folders."""
    mark = os.fsencode(cache)
    for pid in (path for path in Path("/proc").iterdir() if path.name.isdigit() and path.name != str(os.getpid())):
        try:
            texts = [(pid / name).read_bytes() for name in ("cmdline", "environ", "mountinfo")]
            if any(mark in text for text in [*texts, os.fsencode((pid / "cwd").readlink())]):
                yield f"process {pid.name}: {texts[0]!r}"
        except OSError:
            continue
    yield from (f"mount {line}" for line in Path("/proc/self/mounts").read_text().splitlines() if str(cache) in line)
    yield from (f"folder {folder}" for folder in folders if folder.exists())
    sockets = Path("/proc/net/unix").read_text()
    yield from (f"socket below {folder}" for folder in folders if f"{folder}/" in sockets)
    yield from (f"group {path}" for place in parents() for each in folders for path in place.glob(f"kat-{each.name}-*"))
    if os.environ.get("DOCKER_HOST"):
        command = ["docker", "ps", "--all", "--quiet", "--filter", f"label=kat.cache={cache / 'box'}"]
        found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        yield from (f"container {each}" for each in found)
