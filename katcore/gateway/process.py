"""What a process that serves hundreds of rollouts at once wants of its kernel and its interpreter."""

from __future__ import annotations

import gc
import resource

COLLECT = (200_000, 50, 1000)
"""Python's collector of cycles looks through every live object again and again, and conversations are many that live
long and are in no cycle: with its usual thresholds it takes a third of a gateway's time at 512 rollouts."""


def prepare_process() -> None:
    """Open files up to this process's own limit (a rollout takes about eleven); look for cycles rarely."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.set_threshold(*COLLECT)
