"""What a process that serves hundreds of rollouts at once wants of its kernel and its interpreter."""

from __future__ import annotations

import gc
import resource

COLLECT = (200_000, 50, 1000)
"""Thresholds for gc.set_threshold, well above Python's own.

The collector of cycles looks through every live object again and again, and conversations are many objects that live
long and are in no cycle: with the usual thresholds it takes a third of a gateway's time at 512 rollouts.
"""


def prepare_process() -> None:
    """Raise this process's limit of open files to its maximum (a rollout takes about eleven); collect cycles rarely."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.set_threshold(*COLLECT)
