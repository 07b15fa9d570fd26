"""A small process beside every runner that removes what is left of its boxes when the runner is gone, however it went.

In: the runner's folder for boxes; the end of standard input says that the runner is gone (the kernel closes the pipe,
also after `kill -9`). The boxes' processes have died with the runner by then; folders, cgroups and the gateway's
sockets have not. Containers need no reaper: their own first process sees the same end (`supervisor.py`).
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_SOURCE = """
import os, sys, signal
if os.fork():
    os._exit(0)  # nobody's child: what ends a runner may end its children with it, as Ray does
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
if os.read(0, 1):
    os._exit(0)  # an orderly end
sys.path.insert(0, sys.argv[1])
import time
from katcore.disk import scratch
from katcore.sandbox import owner
from katcore.sandbox.limits import parents
for _ in range(100):  # the kernel may still be closing what the runner held
    owner.sweep(parents())
    scratch.sweep()
    if not os.path.exists(sys.argv[2]):
        break
    time.sleep(0.1)
"""


def start(cache: Path, folder: Path) -> None:
    """Start this process's reaper for that cache and the folder of its boxes.

    It lives in a session of its own, with nothing of ours open.
    """
    command = [sys.executable, "-I", "-S", "-c", _SOURCE, str(_ROOT), str(folder)]
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
    """At an orderly end nothing is left to do, and the cache may be about to be deleted: the reaper goes at once."""
    if os.getpid() == pid and process.stdin:
        with suppress(BrokenPipeError):
            process.stdin.write(b"q")
            process.stdin.close()
