"""One optimiser step on the packs of one step: the part of kat-train that the RL loop holds in memory.

    trainer = Trainer.load("M", TrainOptions(objective="grpo"))
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
from katcore.model.threads import set_threads
from katcore.model.tree_lm import TreeLM
from katcore.records import Pack, finite
from katcore.train.adam import Adam
from katcore.train.batch import Step, steps
from katcore.train.losses import OBJECTIVES, LossOutputs, reduce_metrics
from katcore.train.memory import Memory
from katcore.train.objective import TrainObjective
from katcore.train.options import Optimizer, TrainOptions
from katcore.train.passes import Passes
from katcore.train.slots import Ranks
from katcore.train.world import ALONE, Costs, World
from katcore.train.zero import Zero
from katcore.train.zero_config import filled


class Trainer:
    """A model, its optimiser and the number of steps taken."""

    def __init__(
        self,
        lm: TreeLM,
        chat: ChatModel | None,
        objective: TrainObjective,
        optimizer: Optimizer,
        budget: int = 0,
        *,
        recompute: bool = False,
        reference: TreeLM | None = None,
        deepspeed: dict[str, Any] | None = None,
        world: World = ALONE,
    ) -> None:
        self.lm = lm
        self.world = world
        self.tokenizer = chat.digest if chat is not None else ""
        self.files = _files(chat) if chat is not None else {}
        self.objective = objective
        self.optimizer = optimizer
        self.steps = 0
        self.lm.model.train()  # dropout is refused at load time: only activation checkpointing asks for the mode
        self.zero = None if deepspeed is None else self._zero(deepspeed)
        self.adam = Adam(self.parameters, optimizer) if self.zero is None else None
        ranks = Ranks(world, self.zero, Costs.of(lm.model.config)) if self.zero is not None else Ranks()
        self.passes = Passes(lm, objective, budget, recompute, reference, ranks=ranks)
        self.memory = Memory(lm, budget, recompute) if self.zero is None else None

    @classmethod
    def load(
        cls,
        folder: str | Path,
        options: TrainOptions,
        *,
        deepspeed: dict[str, Any] | None = None,
        world: World = ALONE,
    ) -> Trainer:
        """A trainer of the model in a folder, for the objective and with the means that the options name.

        `deepspeed` is the table of a DeepSpeed file: the processes of `world` then share out the model, and each calls
        the same methods.
        """
        compute = options.compute
        objective = TrainObjective(options.objective, options.minimised)

        def model(where: str | Path) -> TreeLM:
            return TreeLM.load(where, dtype=getattr(torch, compute.dtype), backend=options.attention)

        policy = model(folder)
        set_threads(sum(part.numel() for part in policy.model.parameters()))
        return cls(
            policy,
            load_chat_model(Path(folder)),
            objective,
            options.optimizer,
            compute.budget,
            recompute=compute.recompute,
            reference=None if options.reference is None else model(options.reference),
            deepspeed=deepspeed,
            world=world,
        )

    @property
    def parameters(self) -> list[torch.nn.Parameter]:
        """The parameters that the optimiser changes; tied weights once."""
        return [p for p in self.lm.model.parameters() if p.requires_grad]

    def step(self, packs: Sequence[Pack]) -> dict[str, float | None]:
        """Update the weights on the packs of one step; returns the step's metrics. InputError for packs of several."""
        for pack in packs:
            self.accept(pack)
        how = self.objective
        batches = list(steps(packs, how.reducer, how.options.constant, by_objective=how.by_objective))
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
        self.lm.accept(pack)
        if self.passes.reference is not None:
            self.passes.reference.accept(pack)
        sampled = any(pack.rl_weight) or any(pack.kl_weight)
        if self.objective.on_policy and sampled and pack.engine_logprob is None:
            raise InputError(f"pack {pack.id} has no engine log-probs: {name} learns only from what an engine sampled")

    def take(self, step: Step) -> dict[str, float | None]:
        """Take `--updates` optimiser steps on one batch; returns its metrics. π_old is that of the first one's start.

        A metric that is no number (the ratio of an engine that is very far away) is None.
        KatError when memory does not suffice, or a loss or a gradient is not finite.
        """
        started = time.monotonic()
        rate = self.optimizer.lr_at(self.steps)
        seen = self.passes.begin(step)
        needed = None if self.memory is None else self.memory.check([t.plan for t in seen.terms], self._adam.to_come)
        for _ in range(self.objective.options.updates):
            self._zero_grad()
            outputs = self.passes.gradients(step, seen)
            norm = self._apply(rate)
        self.steps += 1
        computed, forward_only = map(sum, zip(*self.world.all_gather((self.passes.computed, self.passes.forward_only))))
        found = {
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
            "tokens_computed": computed,
            "forward_only_tokens": forward_only,
            **({} if needed is None else {"activation_bytes_estimate": needed.bytes}),
            "seconds": round(time.monotonic() - started, 4),
        }
        return {name: finite(value) for name, value in found.items()}

    def gradients(self, step: Step) -> list[LossOutputs]:
        """Leave the step's gradients in the parameters, and return the losses of its parts, which sum to the step's."""
        self._zero_grad()
        return self.passes.gradients(step, self.passes.begin(step))

    def _zero(self, table: dict[str, Any]) -> Zero:
        config, half = self.lm.model.config, self.lm.model.dtype == torch.bfloat16
        whole = self.world.broadcast(lambda: filled(table, self.optimizer, self.world.size, half, config.hidden_size))
        return Zero(self.lm, whole, self.world)

    def _zero_grad(self) -> None:
        if self.adam is not None:
            self.adam.zero_grad()  # DeepSpeed's are gone after its step

    def _apply(self, rate: float) -> float:
        norm = self.zero.step(rate) if self.zero is not None else self._adam.clip()
        if not math.isfinite(norm):
            raise KatError(f"the gradient's norm is {norm} at step {self.steps + 1}")
        if self.zero is None:
            self._adam.step(rate)
        return norm

    @property
    def _adam(self) -> Adam:
        assert self.adam is not None
        return self.adam

    def save(self, folder: str | Path) -> None:
        """Weights, configuration, tokenizer and template: a folder that transformers loads. Rank 0 writes it."""
        from transformers.utils import logging

        logging.disable_progress_bar()
        weights = None if self.zero is None else self.zero.weights()
        if not self.world.first:
            return
        self.lm.model.save_pretrained(folder, state_dict=weights)
        for name, data in self.files.items():
            (Path(folder) / name).write_bytes(data)

    def checkpoint(self, folder: Path) -> None:
        """What `save` writes and, under DeepSpeed, every rank's share of the optimiser's state."""
        self.save(folder)
        if self.zero is not None:
            self.zero.save(folder)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs beside the weights, and beside DeepSpeed's own files."""
        about = {"steps": self.steps, "rng": torch.get_rng_state(), "ranks": self._layout()}
        return about if self.adam is None else about | self.adam.state()

    def restore(self, state: dict[str, Any], folder: Path | None = None) -> None:
        """Take over the `state` of a trainer; `folder` is its checkpoint. InputError for another layout of ranks."""
        if state.get("ranks", "") != self._layout():
            error = InputError(
                f"the checkpoint was written by {state.get('ranks') or 'one process without DeepSpeed'}, "
                f"and this is {self._layout() or 'one process without DeepSpeed'}",
                hint="start as many processes with the same --deepspeed as then",
            )
            self.world.refuse(error)
        self.steps = int(state["steps"])
        if self.adam is not None:
            self.adam.restore(state)
        if self.zero is not None and folder is not None:
            self.zero.load(folder)
        torch.set_rng_state(state["rng"])

    def _layout(self) -> str:
        """The number of processes and ZeRO stage that a checkpoint's files depend on; empty without DeepSpeed."""
        return "" if self.zero is None else f"{self.world.size} processes of ZeRO stage {self.zero.stage}"


def _files(chat: ChatModel) -> dict[str, bytes]:
    """Tokenizer and template, held here: the folder may be a checkpoint that is gone when the next one is saved."""
    with TemporaryDirectory(prefix="kat-") as folder:
        chat.save(Path(folder))
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}
