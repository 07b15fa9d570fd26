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
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from katcore.errors import InputError, KatError
from katcore.model.folder import ChatModel
from katcore.model.folder import load as load_chat_model
from katcore.model.tree_lm import TreeLM
from katcore.records import Pack
from katcore.train.batch import Step, steps
from katcore.train.losses import OBJECTIVES, LossOutputs, reduce_metrics
from katcore.train.objective import Objective, Optimizer
from katcore.train.passes import Passes

DEFAULT = Optimizer()


class Trainer:
    """A model, its optimiser and the number of steps taken."""

    def __init__(
        self,
        lm: TreeLM,
        chat: ChatModel | None,
        objective: Objective,
        optimizer: Optimizer,
        budget: int = 0,
        *,
        recompute: bool = False,
        reference: TreeLM | None = None,
    ) -> None:
        self.lm = lm
        self.passes = Passes(lm, objective, budget, recompute, reference)
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
        optimizer: Optimizer = DEFAULT,
        *,
        dtype: torch.dtype = torch.float32,
        device: str = "",
        backend: str = "auto",
        budget: int = 0,
        recompute: bool = False,
        reference: str | Path | None = None,
    ) -> Trainer:
        """A trainer of the model in a folder. `budget`: tokens whose activations are alive at once, 0: a whole row.

        `reference` is the folder of the policy that the objective's penalty pulls to.
        """
        lm = TreeLM.load(folder, dtype=dtype, device=device, backend=backend)
        policy = TreeLM.load(reference, dtype=dtype, device=device, backend=backend) if reference else None
        return cls(
            lm, load_chat_model(Path(folder)), objective, optimizer, budget, recompute=recompute, reference=policy
        )

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
        if pack.objective != name and not any(any(getattr(pack, weight)) for weight in OBJECTIVES[name].weights):
            raise InputError(f"pack {pack.id} was packed for {pack.objective}: nothing in it trains {name}")
        if self.objective.on_policy and pack.engine_logprob is None:
            raise InputError(f"pack {pack.id} has no engine log-probs: {name} learns only from what an engine sampled")

    def take(self, step: Step) -> dict[str, float]:
        """`objective.updates` optimiser steps on one batch; π_old stays what it was at the first one's start."""
        started = time.monotonic()
        rate = self.optimizer.lr_at(self.steps)
        for group in self.adamw.param_groups:
            group["lr"] = rate
        seen = self.passes.begin(step)
        for _ in range(self.objective.updates):
            self.adamw.zero_grad(set_to_none=True)
            outputs = self.passes.gradients(step, seen)
            norm = self._apply()
        self.steps += 1
        return {
            "step": self.steps,
            "loss": float(sum(float(out.loss) for out in outputs)),
            "lr": rate,
            "grad_norm": norm,
            **reduce_metrics(outputs),
            **seen.metrics,
            "packs": len(step.rows),
            "tokens_unique": step.unique,
            "tokens_flat": step.flat,
            "tokens_trained": step.trained,
            "tokens_computed": self.passes.computed,
            "forward_only_tokens": self.passes.forward_only,
            "seconds": round(time.monotonic() - started, 4),
        }

    def gradients(self, step: Step) -> list[LossOutputs]:
        """Leave the step's gradients in the parameters, and return the parts' shares of the loss."""
        self.adamw.zero_grad(set_to_none=True)
        return self.passes.gradients(step, self.passes.begin(step))

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
