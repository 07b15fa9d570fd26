"""How many threads a model computes with on a CPU, by its size, and how they wait for each other.

In: a number of parameters. Out: threads for torch. A small model's matrices are too small to share: beyond one thread
it only waits for itself, and where neighbours want the cores, for them (benchmarks/engine.py). `OMP_NUM_THREADS` is
the user's word, and is kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

PARAMETERS_PER_THREAD = 16_000_000
"""A model takes another thread for each of these."""


def wait_passively() -> None:
    """Let idle threads sleep instead of spinning, which takes the cores from whoever has work; before torch comes."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def threads_for(parameters: int, environment: Mapping[str, str] = os.environ) -> int:
    """The threads for a model of so many parameters, at most as many as this process has cores."""
    if named := environment.get("OMP_NUM_THREADS", ""):
        return max(1, int(named.partition(",")[0])) if named.partition(",")[0].isdigit() else 1
    return max(1, min(len(os.sched_getaffinity(0)), round(parameters / PARAMETERS_PER_THREAD)))


def set_threads(parameters: int) -> None:
    """Let torch compute with the threads of a model of so many parameters."""
    import torch

    torch.set_num_threads(threads_for(parameters))
