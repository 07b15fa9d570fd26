"""A small root file system of this machine's programs, as a tarball: an image without any registry."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

PROGRAMS = ("bash", "sh", "cat", "env", "head", "mkdir", "dirname", "rm", "chmod", "ls", "id")


def small_root(
    top: Path, archive: Path, programs: Iterable[str] = PROGRAMS, fill: Callable[[Path], None] = lambda _: None
) -> Path:
    """The archive of a folder with programs and the libraries that they need, and with what `fill` puts there."""
    for folder in ("usr/bin", "etc", "tmp", "proc", "dev"):
        (top / folder).mkdir(parents=True)
    (top / "bin").symlink_to("usr/bin")
    (top / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    found = [f"/usr/bin/{name}" for name in programs]
    listed = subprocess.run(["ldd", *found], capture_output=True, text=True, check=False).stdout
    libraries = {
        word for line in listed.splitlines() for word in line.split() if word.startswith("/") and ":" not in word
    }
    for path in [*found, *sorted(libraries)]:
        target = top / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(Path(path).resolve().read_bytes())
        target.chmod(0o755)
    fill(top)
    subprocess.run(["tar", "-C", str(top), "-cf", str(archive), "."], check=True)
    return archive
