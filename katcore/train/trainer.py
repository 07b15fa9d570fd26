"""One optimiser step on the packs of one step: the part of kat-train that the RL loop holds in memory.

    trainer = Trainer.load("M", Objective("grpo"), Optimizer(lr=1e-5))
    metrics = trainer.step(packs)           # weights of trainer.lm.model change in place
    trainer.save(folder)                    # a folder that transformers loads

In: packs or batches of them, a model. Out: metrics, changed weights. It reads no stream and writes no checkpoint by
itself: that is `run.py`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from katcore.errors import InputError, KatError, UsageError
from katcore.model.folder import ChatModel
from katcore.model.folder import load as load_chat_model
from katcore.model.tree_lm import TreeLM
from katcore.model.walk import walk
from katcore.records import Pack
from katcore.train.batch import Row, Step, steps
from katcore.train.losses import OBJECTIVES, LossOutputs, Settings
from katcore.train.terms import Terms


@dataclass(frozen=True)
class Objective:
    """What is minimised. `temperature`: at which the tokens were sampled, and all log-probs are compared."""

    name: str
    reducer: str = "token-mean"
    constant: int = 1024
    temperature: float = 1.0
    updates: int = 1
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if self.name not in OBJECTIVES:
            raise UsageError(f"unknown objective {self.name!r}", hint=f"one of: {', '.join(OBJECTIVES)}")

    @property
    def on_policy(self) -> bool:
        """Whether it learns from what an engine sampled, so that every token needs the engine's log-prob."""
        return self.name in ("grpo", "opd")


@dataclass(frozen=True)
class Optimizer:
    """AdamW, gradient clipping and the learning rate's course. `total` steps are needed by `cosine` alone."""

    lr: float = 1e-4
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    grad_clip: float = 1.0
    warmup: int = 0
    schedule: str = "constant"
    total: int = 0

    def __post_init__(self) -> None:
        if self.schedule not in ("constant", "cosine"):
            raise UsageError(f"unknown schedule {self.schedule!r}", hint="one of: constant, cosine")
        if self.schedule == "cosine" and not self.total:
            raise UsageError("a cosine schedule needs to know where it ends", hint="add --max-steps N")

    def lr_at(self, step: int) -> float:
        """Learning rate of the step after `step` finished ones: linear warm-up, then constant or a cosine to 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.lr
        done = (step - self.warmup) / max(self.total - self.warmup, 1)
        return self.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


class Trainer:
    """A model, its optimiser and the number of steps taken."""

    def __init__(
        self, lm: TreeLM, chat: ChatModel | None, objective: Objective, optimizer: Optimizer, budget: int = 0
    ) -> None:
        self.lm = lm
        self.budget = budget
        self._cut: WeakKeyDictionary[Row, Terms] = WeakKeyDictionary()
        self.tokenizer = chat.digest if chat is not None else ""
        self.files = _files(chat) if chat is not None else {}
        self.objective = objective
        self.optimizer = optimizer
        self.steps = 0
        self.lm.model.train()  # dropout is refused at load time: only activation checkpointing asks for the mode
        self.adamw = torch.optim.AdamW(
            self.parameters, lr=optimizer.lr, betas=optimizer.betas, weight_decay=optimizer.weight_decay
        )

    @classmethod
    def load(
        cls,
        folder: str | Path,
        objective: Objective,
        optimizer: Optimizer = Optimizer(),
        *,
        dtype: torch.dtype = torch.float32,
        device: str = "",
        backend: str = "auto",
        budget: int = 0,
    ) -> Trainer:
        """A trainer of the model in a folder. `budget`: tokens whose activations are alive at once, 0: a whole row."""
        lm = TreeLM.load(folder, dtype=dtype, device=device, backend=backend)
        return cls(lm, load_chat_model(Path(folder)), objective, optimizer, budget)

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """What the optimiser changes; tied weights once."""
        return [p for p in self.lm.model.parameters() if p.requires_grad]

    def step(self, packs: Sequence[Pack]) -> dict[str, float]:
        """Update the weights on the packs of one step, and say what happened. InputError for packs of several."""
        for pack in packs:
            self.accept(pack)
        batches = list(steps(packs, self.objective.reducer, self.objective.constant))
        if len(batches) != 1:
            raise InputError("no packs" if not batches else f"packs of {len(batches)} steps, where one is wanted")
        return self.take(batches[0])

    def accept(self, pack: Pack) -> None:
        """InputError for a pack that this model or this objective cannot learn from."""
        name = self.objective.name
        if self.tokenizer and pack.tokenizer and pack.tokenizer != self.tokenizer:
            raise InputError(
                f"pack {pack.id} was made with another tokenizer or chat template than the model's",
                hint="give kat-rollout and kat-pack-trie the same --model",
            )
        if pack.objective != name and not any(getattr(pack, OBJECTIVES[name][1])):
            raise InputError(f"pack {pack.id} was packed for {pack.objective}: nothing in it trains {name}")
        if self.objective.on_policy and pack.engine_logprob is None:
            raise InputError(f"pack {pack.id} has no engine log-probs: {name} learns only from what an engine sampled")

    def take(self, step: Step) -> dict[str, float]:
        """`objective.updates` optimiser steps on one batch; π_old stays what it was at the first one's start."""
        started = time.monotonic()
        rate = self.optimizer.lr_at(self.steps)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        old: list[Tensor] = []
        for update in range(self.objective.updates):
            outputs, seen = self._accumulate(step, old)
            if update == 0:
                old = seen
            norm = self._apply()
        self.steps += 1
        return {
            "step": self.steps,
            "loss": float(sum(float(out.loss.detach()) for out in outputs)),
            "lr": rate,
            "grad_norm": norm,
            **_averages(outputs),
            "packs": len(step.rows),
            "tokens_unique": step.unique,
            "tokens_flat": step.flat,
            "tokens_trained": step.trained,
            "seconds": round(time.monotonic() - started, 4),
        }

    def gradients(self, step: Step) -> list[LossOutputs]:
        """Leave the step's gradients in the parameters, and return the parts' shares of the loss."""
        return self._accumulate(step, [])[0]

    def _accumulate(self, step: Step, old: Sequence[Tensor]) -> tuple[list[LossOutputs], list[Tensor]]:
        self.adamw.zero_grad(set_to_none=True)
        outputs: list[LossOutputs] = []
        seen = []
        for i, row in enumerate(step.rows):
            terms = self._terms(row)
            first = terms.old if not old else old[i]
            kept, now = self._row(row, terms, first)
            outputs += kept
            seen.append(now if first is None else first)
        return outputs, seen

    def _terms(self, row: Row) -> Terms:
        """The row's terms and parts, made once for all epochs and updates."""
        if row not in self._cut:
            self._cut[row] = Terms.of_row(row, self.budget, self.lm.device)
        return self._cut[row]

    def _row(self, row: Row, terms: Terms, old: Tensor | None) -> tuple[list[LossOutputs], Tensor]:
        """The row's gradients, part by part; the parts' losses, and all terms' log-probs [M] as they were."""
        loss = OBJECTIVES[self.objective.name][0]
        outputs: list[LossOutputs] = []
        seen = torch.zeros(len(terms.place), dtype=torch.float64, device=self.lm.device)

        def visit(which: Tensor, logprob: Tensor, entropy: Tensor) -> Tensor:
            chosen, local = terms.of(which)
            lp = logprob[local]
            seen[chosen] = lp.detach().to(seen.dtype)
            inputs = terms.inputs(chosen, lp, entropy.detach()[local], lp.detach() if old is None else old[chosen])
            out = loss(inputs, self.objective.settings)
            if not bool(out.loss.isfinite()):
                raise KatError(f"the loss of pack {row.id} is {float(out.loss)} at step {self.steps + 1}")
            outputs.append(LossOutputs(out.loss.detach(), out.metrics))
            return out.loss

        walk(self.lm, terms.plan, visit, self.objective.temperature)
        return outputs, seen

    def _apply(self) -> float:
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.optimizer.grad_clip or math.inf)
        if not bool(norm.isfinite()):
            raise KatError(f"the gradient's norm is {float(norm)} at step {self.steps + 1}")
        self.adamw.step()
        return float(norm)

    def save(self, folder: str | Path) -> None:
        """Weights, configuration, tokenizer and template: a folder that transformers loads."""
        from transformers.utils import logging

        logging.disable_progress_bar()
        self.lm.model.save_pretrained(folder)
        for name, data in self.files.items():
            (Path(folder) / name).write_bytes(data)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beside the weights."""
        return {"steps": self.steps, "adamw": self.adamw.state_dict(), "rng": torch.get_rng_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as the trainer whose `state` this was."""
        self.steps = int(state["steps"])
        self.adamw.load_state_dict(state["adamw"])
        torch.set_rng_state(state["rng"])


def _files(chat: ChatModel) -> dict[str, bytes]:
    """Tokenizer and template, held here: the folder may be a checkpoint that is gone when the next one is saved."""
    with TemporaryDirectory(prefix="kat-") as folder:
        chat.save(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def _averages(outputs: Sequence[LossOutputs]) -> dict[str, float]:
    """Means of the per-term metrics over all packs of the step; the largest for names that end in `_max`."""
    names = dict.fromkeys(name for out in outputs for name in out.metrics)
    joined = {name: torch.cat([out.metrics[name] for out in outputs if name in out.metrics]) for name in names}
    joined = {name: values for name, values in joined.items() if len(values)}
    return {name: float(v.max() if name.endswith("_max") else v.mean()) for name, v in joined.items()}
