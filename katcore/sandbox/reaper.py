"""A small process beside every runner that removes what is left of its boxes when the runner is gone, however it went.

In: the runner's folder for boxes; the end of standard input says that the runner is gone (the kernel closes the pipe,
also after `kill -9`). The boxes' processes have died with the runner by then; folders, cgroups and the gateway's
sockets have not. What it does is `reaper_process.py`. Containers need none: their own first process sees the same end
(`docker/in_box/supervisor.py`).
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_PROCESS = Path(__file__).resolve().with_name("reaper_process.py")
_ROOT = _PROCESS.parents[2]


def start(cache: Path, folder: Path) -> None:
    """Start this process's reaper for that cache and the folder of its boxes.

    It lives in a session of its own, with nothing of ours open.
    """
    command = [sys.executable, "-I", "-S", str(_PROCESS), str(_ROOT), str(folder)]
    process = subprocess.Popen(
        command,
        env={"KAT_CACHE": str(cache), "PATH": os.environ.get("PATH", os.defpath)},
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    process.wait()  # the first process; the second goes on, and is init's
    atexit.register(_release, os.getpid(), process)


def _release(pid: int, process: subprocess.Popen[bytes]) -> None:
    """At an orderly exit, end the reaper at once: nothing is left to do, and the cache may be deleted next."""
    if os.getpid() == pid and process.stdin:
        with suppress(BrokenPipeError):
            process.stdin.write(b"q")
            process.stdin.close()
