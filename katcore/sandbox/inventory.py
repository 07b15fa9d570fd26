"""What this machine and its Docker engine hold of boxes, and the removal of what belongs to nobody.

In: nothing. Out: one row for each runner's folder and each container. A runner that lives keeps what it has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from katcore.disk.cache import cache_dir
from katcore.errors import SandboxError
from katcore.sandbox import SANDBOXES, limits, owner, sandbox
from katcore.sandbox.docker.engine_api import api_errors
from katcore.sandbox.docker.sandbox import OWNER, Docker
from katcore.sandbox.overlay import written

ENOUGH = 1 << 40


@dataclass(frozen=True)
class BoxRow:
    """One box, or the folder of a runner without boxes (`box` is then empty). `mib`: on disk over its repository."""

    sandbox: str
    owner: str
    box: str
    held: bool
    mib: float


def kinds() -> dict[str, str]:
    """For each kind of sandbox `ok`, or why it does not work on this machine."""
    found = {}
    for name in SANDBOXES:
        try:
            sandbox(name)
            found[name] = "ok"
        except SandboxError as error:
            found[name] = str(error)
    return found


def boxes() -> list[BoxRow]:
    """All boxes on this machine, dead runners' included."""
    found = list(_folders(cache_dir("box")))
    with suppress(SandboxError):  # without an engine there are no containers; `kinds` says so
        found += _containers(Docker())
    return sorted(found, key=lambda row: (row.sandbox, row.owner, row.box))


def clean() -> int:
    """Remove the boxes of runners that are gone; returns how many runners and containers those were."""
    gone = owner.sweep(limits.parents())
    with suppress(SandboxError):
        gone += Docker().sweep()
    return len(gone)


def _folders(top: Path) -> Iterator[BoxRow]:
    for folder in sorted(path for path in top.iterdir() if path.is_dir()):
        held = owner.held(folder)
        inside = [path for path in folder.iterdir() if path.is_symlink() and (path / "upper").is_dir()]
        for box in inside:
            size = written([box / "upper", box / "tmp"], ENOUGH) / (1 << 20)
            yield BoxRow("bubblewrap", folder.name, box.name, held, round(size, 1))
        if not inside and not held:
            yield BoxRow("bubblewrap", folder.name, "", False, 0.0)


def _containers(docker: Docker) -> list[BoxRow]:
    with api_errors("the engine does not list its boxes"):
        found = docker.client.containers(all=True, size=True, filters={"label": OWNER})
    top = cache_dir("box")
    rows = []
    for container in found:
        name, size = container["Labels"][OWNER], round((container.get("SizeRw") or 0) / (1 << 20), 1)
        rows.append(BoxRow("docker", name, container["Names"][0].strip("/"), owner.held(top / name), size))
    return rows
