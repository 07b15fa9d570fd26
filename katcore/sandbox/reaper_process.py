"""The reaper's own process: it waits for its runner's end, then removes what is left of the runner's boxes.

Run by its path, with `python -I -S`, by `reaper.py`. In: the folder that KAT is imported from, the runner's folder for
boxes; on standard input a byte at an orderly end, nothing but its end at any other. Its first process ends at once. One
lives beside every runner: KAT is imported when there is something to do, and not before.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

STARTING = "starting"
"""In a runner's folder for boxes: a file for each container that is not up yet, with the engine's variables as JSON."""
MADE = "made"
"""Beside it: a file for each of them that the engine has made, with its id."""


def main(packages: str, folder: str) -> None:
    """Wait until the process that started this one is gone, then sweep until its folder is gone."""
    if os.fork():
        os._exit(0)  # nobody's child: what ends a runner may end its children with it, as Ray does
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.read(0, 1):
        os._exit(0)  # an orderly end
    sys.path.insert(0, packages)
    import time
    from pathlib import Path

    from katcore.disk import scratch
    from katcore.sandbox import owner
    from katcore.sandbox.limits import parents

    _remove_starting(packages, Path(folder))
    for _ in range(100):  # the kernel may still be closing what the runner held
        owner.sweep(parents())
        scratch.sweep()
        if not Path(folder).exists():
            break
        time.sleep(0.1)


def _remove_starting(packages: str, folder: Path) -> None:
    """Start a process for each engine that removes what was being started: it needs packages, this one has none."""
    import json
    import subprocess

    notes, names = folder / STARTING, dict[str, list[str]]()
    for note in notes.iterdir() if notes.is_dir() else ():
        made = folder / MADE / note.name
        known = made.read_text("utf-8") if made.exists() else ""
        names.setdefault(note.read_text("utf-8") or "{}", []).append(known or note.name)
    for engine, left in names.items():
        command = [sys.executable, "-P", "-m", "katcore.sandbox.docker.starting", *left]
        subprocess.Popen(command, env={**os.environ, **json.loads(engine), "PYTHONPATH": packages})


if __name__ == "__main__":
    main(*sys.argv[1:])
