"""The metrics of a run as TensorBoard event files, beside metrics.jsonl, which has the same figures.

In: a folder, the number of steps done, metrics. Out: DIR/events.out.tfevents.*, a new file for each start.
A resumed run writes first that all steps after the checkpoint's are void, as TensorBoard does for a restarted job, so
that no step has two values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from katcore.errors import not_installed


class Writer(Protocol):
    """The methods of tensorboardX's SummaryWriter that are used here."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        """Add one point to the curve `tag`."""

    def flush(self) -> None:
        """Write out everything that is still in buffers."""


@contextmanager
def events(folder: Path, steps_done: int) -> Iterator[Writer]:
    """A writer of event files in `folder`. UsageError without tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise not_installed("tensorboardX") from error
    files = len(list(folder.glob("events.*")))
    resumed = {"purge_step": steps_done + 1, "filename_suffix": f".{files}"} if files else {}  # names have seconds only
    with SummaryWriter(str(folder), **resumed) as writer:
        yield writer


def write_scalars(writer: Writer, metrics: Mapping[str, Any]) -> None:
    """Write the numbers of one step, each as a point of the curve `train/NAME`."""
    for name, value in metrics.items():
        if name != "step" and isinstance(value, int | float) and math.isfinite(value):
            writer.add_scalar(f"train/{name}", value, metrics["step"])
    writer.flush()
