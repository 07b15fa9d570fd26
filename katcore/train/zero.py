"""DeepSpeed's ZeRO under the trainer: weights, gradients and optimiser states shared out over ranks.

In: a model over trees, and DeepSpeed's table (`zero_config.py`). Out: passes over parts that all ranks make at once,
optimiser steps, checkpoints of every rank's share, and whole weights for export. DeepSpeed divides gradients by the
number of ranks, as for means over equal batches; KAT's losses are shares of one sum, so each is multiplied by it.
Tokens, losses and the order of passes are others' business (`passes.py`, `katcore/model/together.py`).
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from katcore.errors import KatError, not_installed
from katcore.model.seams import Seam
from katcore.model.tree_lm import TreeLM
from katcore.train.world import World

TAG = "zero"
"""The folder inside a checkpoint that holds what each rank wrote."""


class Head(nn.Module):  # type: ignore[misc]
    """The loss head as a module: under ZeRO-3 a weight is gathered only for the module whose forward pass reads it."""

    def __init__(self, lm: TreeLM) -> None:
        super().__init__()
        self.weight = lm.head
        self._read = lm.read

    def forward(self, hidden: Tensor, targets: Tensor, rows: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """hidden [n, H] → logprob [t], entropy [t]."""
        return self._read(hidden, targets, rows, temperature)


class Scorer(nn.Module):  # type: ignore[misc]
    """A part's whole forward pass in one module, for DeepSpeed to hook."""

    def __init__(self, lm: TreeLM) -> None:
        super().__init__()
        self.model, self.read = lm.model, Head(lm)
        self._hidden = lm.hidden

    def forward(
        self, seam: Seam, targets: Tensor, rows: Tensor, temperature: float, recompute: bool
    ) -> tuple[Tensor, Tensor]:
        """logprob [t], entropy [t] of `targets` at the part's states `rows`."""
        hidden = self._hidden(seam, recompute=recompute)
        read: tuple[Tensor, Tensor] = self.read(hidden, targets, rows, temperature)
        return read


class Zero:
    """A DeepSpeed engine that runs parts, and steps when the last one is done."""

    def __init__(self, lm: TreeLM, table: dict[str, Any], world: World) -> None:
        deepspeed = start(world)
        self.lm, self.world = lm, world
        self.stage: int = table["zero_optimization"]["stage"]
        scorer = Scorer(lm)
        if self.stage == 3:
            _leaves(deepspeed, lm.model)
        with _quiet():
            self.engine, *_ = deepspeed.initialize(
                model=scorer, model_parameters=[p for p in scorer.parameters() if p.requires_grad], config=table
            )
        self._gathered = deepspeed.zero.GatheredParameters

    @property
    def device(self) -> torch.device:
        """The device of a part's tensors."""
        device: torch.device = self.engine.device
        return device

    def forward(
        self, seam: Seam, targets: Tensor, rows: Tensor, temperature: float, recompute: bool
    ) -> tuple[Tensor, Tensor]:
        """(logprob [t], entropy [t]) of `targets` [t] at the part's states `rows` [t]; every rank must call this."""
        scored: tuple[Tensor, Tensor] = self.engine(seam, targets, rows, temperature, recompute)
        return scored

    def backward(self, loss: Tensor, last: bool) -> None:
        """Add the gradients of a part's loss; at the step's `last` one the ranks' are summed."""
        # Backward passes follow one another where a part is done after the one below it; DeepSpeed takes the start of
        # a forward pass for the end of the backward pass before, and would overwrite gradients instead of adding.
        self.engine.optimizer.clear_backward_seen_flag()
        self.engine.set_gradient_accumulation_boundary(last)
        self.engine.backward(loss * self.world.size)  # the mean over ranks becomes the sum of their shares

    def step(self, rate: float) -> float:
        """Take one step of AdamW at learning rate `rate`; returns the whole gradient's norm before it was clipped."""
        for group in self.engine.optimizer.param_groups:
            group["lr"] = rate
        self.engine.step()
        norm = self.engine.get_global_grad_norm()
        return float("nan") if norm is None else float(norm)

    def weights(self) -> dict[str, Tensor]:
        """The whole model's weights by name, on rank 0's CPU; all ranks must ask."""
        found: dict[int, Tensor] = {}
        named: dict[str, Tensor] = {}
        for name, parameter in self.lm.model.named_parameters(remove_duplicate=False):
            if id(parameter) not in found:
                with self._gathered([parameter]):
                    found[id(parameter)] = parameter.detach().cpu().clone() if self.world.first else torch.empty(0)
            named[name] = found[id(parameter)]
        buffers = {name: b for name, b in self.lm.model.state_dict(keep_vars=True).items() if name not in named}
        return named | {name: b.detach().cpu() for name, b in buffers.items()}

    def save(self, folder: Path) -> None:
        """Write every rank's share of weights and optimiser states into TAG inside `folder`."""
        with _quiet():
            self.engine.save_checkpoint(str(folder), tag=TAG, save_latest=False)

    def load(self, folder: Path) -> None:
        """Go on from what `save` wrote, with as many ranks as then. KatError when it cannot be read."""
        with _quiet():
            path, _ = self.engine.load_checkpoint(str(folder), tag=TAG)
        if path is None:
            raise KatError(f"{folder / TAG}: no checkpoint of DeepSpeed for this rank")


def start(world: World) -> Any:
    """The package, with this process in the launcher's group; UsageError when it is not installed."""
    alone = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    for name, value in (alone | {"MASTER_PORT": str(_free_port())} if world.size == 1 else {}).items():
        os.environ.setdefault(name, value)
    # DeepSpeed calls what this torch calls deprecated, once for every gathered layer.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"torch\.distributed")
    try:
        with redirect_stdout(sys.stderr):  # where its log goes for good
            import deepspeed
    except ModuleNotFoundError as error:
        if error.name != "deepspeed":
            raise
        raise not_installed("deepspeed") from error
    logging.getLogger("DeepSpeed").setLevel(logging.ERROR)
    with _quiet():
        if not torch.cuda.is_available():
            # Compiled at the first use for 80 s, and of use to inference alone.
            deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        if not torch.distributed.is_initialized():
            deepspeed.init_distributed(dist_backend="nccl" if torch.cuda.is_available() else "gloo", verbose=False)
    return deepspeed


@contextmanager
def _quiet() -> Iterator[None]:
    """Discard what DeepSpeed prints: standard output is for data, and what goes wrong DeepSpeed raises."""
    with redirect_stdout(StringIO()):
        yield


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _leaves(deepspeed: Any, model: Any) -> None:
    """Have ZeRO-3 gather a mixture's block as a whole: which of its experts are asked differs between ranks."""
    kinds = {type(module) for module in model.modules() if hasattr(module, "experts") and hasattr(module, "gate")}
    if kinds:
        deepspeed.utils.set_z3_leaf_modules(model, list(kinds))
