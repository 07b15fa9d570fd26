"""Checkpoints that survive `kill -9`: DIR/step-N/, the link DIR/latest, and at the end the model at DIR's top.

A checkpoint is written beside its place and renamed, so that a folder called step-N is always whole. It holds the
model as transformers loads it, and `trainer.pt`: optimiser, random state, position in the data, losses so far.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from katcore.disk.whole import put, sync_tree
from katcore.errors import InputError, KatError, first_line
from katcore.train.world import ALONE, World

_STEP = re.compile(r"step-(\d+)")


def save(
    out: Path,
    step: int,
    write_model: Callable[[Path], None],
    state: dict[str, Any],
    keep: int,
    world: World = ALONE,
) -> None:
    """Write DIR/step-N, point `latest` at it, forget all but the newest `keep`.

    Every rank calls `write_model`, with the same folder; the rest is rank 0's.
    """
    part = out / f"step-{step}.tmp"
    world.broadcast(lambda: _fresh(part))
    with _writing(part):
        write_model(part)
    world.wait()
    world.broadcast(lambda: _finish(out, step, part, state, keep))


def _fresh(part: Path) -> None:
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)


def _finish(out: Path, step: int, part: Path, state: dict[str, Any], keep: int) -> None:
    with _writing(part):
        torch.save(state, part / "trainer.pt")
    sync_tree(part)
    final = out / f"step-{step}"
    if final.exists():
        _remove(final)
    put(part, final)
    link = out / "latest.tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(final.name)
    put(link, out / "latest")
    for _, old in sorted(_checkpoints(out))[:-keep]:
        _remove(old)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Turn the errors that safetensors and torch raise for a full disk, which are no OSErrors, into a KatError."""
    try:
        yield
    except (SafetensorError, RuntimeError) as error:
        raise KatError(f"cannot write {folder}: {first_line(error)}", hint="is the disk full?") from error


def _remove(checkpoint: Path) -> None:
    """Remove a checkpoint so that a kill in the middle leaves no half folder called step-N."""
    gone = checkpoint.with_name(f"{checkpoint.name}-gone.tmp")
    shutil.rmtree(gone, ignore_errors=True)
    checkpoint.rename(gone)
    shutil.rmtree(gone)


def newest(out: Path) -> Path | None:
    """The newest whole checkpoint of a run; half-written ones are removed."""
    for part in out.glob("step-*.tmp"):
        shutil.rmtree(part)
    found = sorted(_checkpoints(out))
    return found[-1][1] if found else None


def load_state(checkpoint: Path) -> dict[str, Any]:
    """The state that `trainer.pt` of a checkpoint holds."""
    try:
        state: dict[str, Any] = torch.load(checkpoint / "trainer.pt", map_location="cpu", weights_only=True)
    except (OSError, RuntimeError) as error:
        raise InputError(f"{checkpoint}: not a checkpoint of kat-train ({error})") from error
    return state


def publish(out: Path, write_model: Callable[[Path], None], world: World = ALONE) -> None:
    """Put the model's files at the top of `out`, one by one; each file is at any time the old one or the new one."""
    part = out / "model.tmp"
    world.broadcast(lambda: _fresh(part))
    with _writing(part):
        write_model(part)
    world.broadcast(lambda: _place(out, part))


def _place(out: Path, part: Path) -> None:
    sync_tree(part)
    for path in sorted(part.iterdir(), key=lambda path: path.suffix == ".safetensors"):  # weights mean: it is whole
        put(path, out / path.name)
    part.rmdir()


def _checkpoints(out: Path) -> Iterator[tuple[int, Path]]:
    for path in out.glob("step-*"):
        match = _STEP.fullmatch(path.name)
        if match and path.is_dir():
            yield int(match[1]), path
