"""A stage that writes some items to argv[1], rejects beside it: `tests/streams/test_resume.py` kills and resumes it.

DIE_AFTER in the environment is the number of the call into the system at which it dies, in the middle of it where it is
a write; SLEEP_S is how long an item takes.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from katcore.records import Scaffold, Task, TaskSource, Trajectory, encode, tag_of
from katcore.streams import Output, open_output, pace

ITEMS = 21


def stage(path: Path, resume: bool, items: int = ITEMS, pause: float = 0.0) -> None:
    """Every third item gives two lines, every fifth is rejected, every seventh gives nothing."""
    out = open_output(path, None, resume, rejects=path.with_name("rejects.jsonl"))
    task = Task(
        instance_id="k", repo="r", base_commit="b", created_at="2024-01-01T00:00:00Z", source=TaskSource(kind="git")
    )
    if "kat.task/1:k" not in out.finished:
        out.write(encode(task), tag_of(Task))
        out.commit("kat.task/1:k")
    for n in range(items):
        if f"kat.trajectory/1:{n}" not in out.finished:
            item(out, n)
            time.sleep(pause)
    out.finish()


def item(out: Output, n: int) -> None:
    """One item, depending on nothing but its number."""
    if n % 5 == 4:
        out.reject({"kind": "kat.trajectory/1", "id": str(n), "reason": "x" * n})
    elif n % 7 != 6:
        for k in range(2 if n % 3 == 0 else 1):
            one = Trajectory(
                id=f"{n}", task_id="k", group_id="g", attempt=k, scaffold=Scaffold(name="s"), model="m" * n
            )
            out.write(encode(one), tag_of(Trajectory))
    out.commit(f"kat.trajectory/1:{n}")


def die_after(calls: int) -> None:
    """Let the system call number `calls` be the last: a write is cut in half, anything else does not happen."""
    left = [calls]

    def deadly(call: Callable[..., Any]) -> Callable[..., Any]:
        def dies(*args: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                if call is os.write:
                    write(args[0], args[1][: len(args[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **named)

        return dies

    write = os.write
    for name in ("write", "fsync", "ftruncate", "open", "rename", "replace", "unlink"):
        setattr(os, name, deadly(getattr(os, name)))


if __name__ == "__main__":
    pace.PAUSE_S = pace.COSTLY_S = float(os.environ.get("PAUSE_S", "0"))
    die_after(int(os.environ.get("DIE_AFTER", "0")))
    stage(Path(sys.argv[1]), "--resume" in sys.argv, pause=float(os.environ.get("SLEEP_S", "0")))
