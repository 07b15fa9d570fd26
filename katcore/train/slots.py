"""Who runs which rows of a step, and when: one process all of them; of several ranks each its share, in step.

In: a step's terms. Out: `Slot`s, in each of which a rank runs one of its rows, or none of them, in an order of parts
that all ranks agreed on; and what the ranks found, put together. The passes themselves are `passes.py`'s.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import torch
from torch import Tensor

from katcore.model.agreed import Order, Shape, agree, shape_of
from katcore.model.together import Runner, walk_together
from katcore.model.tree_lm import TreeLM
from katcore.model.walk import Visit, walk
from katcore.train.batch import Step
from katcore.train.losses import LossOutputs
from katcore.train.terms import TermTensors
from katcore.train.world import ALONE, Costs, World, shares


@dataclass(frozen=True)
class Slot:
    """One row's walk through its parts.

    `row` is the row's number in the step, -1 where this rank has none and only joins the others' collectives; `order`
    is what the ranks agreed on, None in a single process; `last` marks the last walk of a pass.
    """

    row: int
    order: Order | None = None
    last: bool = False


@dataclass(frozen=True)
class Ranks:
    """The processes of a run, and the `runner` that runs a part with all of them, None in a single process."""

    world: World = ALONE
    runner: Runner | None = None
    costs: Costs = field(default_factory=Costs)

    def mine(self, step: Step) -> list[int]:
        """The numbers of the rows that this rank runs."""
        if self.runner is None:
            return list(range(len(step.rows)))
        return shares(step, self.costs, self.world.size)[self.world.rank]

    def slots(self, terms: Mapping[int, TermTensors], recompute: bool) -> list[Slot]:
        """The walks of a pass over this rank's rows, as many on every rank; `terms` has those rows by number."""
        if self.runner is None:
            return [Slot(row) for row in terms]
        own = [shape_of(each.plan.parts, recompute) for each in terms.values()]
        everybody = self.world.all_gather(own)
        slots = []
        for k, shapes in enumerate(zip_longest(*everybody, fillvalue=Shape())):
            row = [*terms][k] if k < len(terms) else -1
            parts = terms[row].plan.parts if row >= 0 else ()
            slots.append(Slot(row, agree(shapes, self.world.rank, parts)))
        return [*slots[:-1], replace(slots[-1], last=True)]

    def walk(
        self, lm: TreeLM, slot: Slot, terms: TermTensors | None, visit: Visit, temperature: float, recompute: bool
    ) -> int:
        """Walk through the slot's row and call `visit` for each part; returns the number of tokens computed."""
        if self.runner is not None and slot.order is not None:
            plan = None if terms is None else terms.plan
            return walk_together(self.runner, slot.order, plan, visit, temperature, last=slot.last)
        assert terms is not None
        return walk(lm, terms.plan, visit, temperature, recompute=recompute)

    def everything(self, mine: dict[int, tuple[Tensor, ...]], device: torch.device) -> dict[int, tuple[Tensor, ...]]:
        """The tensors that all ranks found, by row number, on every rank; `mine` are this rank's."""
        if self.world.size == 1:
            return mine
        sent = self.world.all_gather({row: tuple(x.cpu() for x in found) for row, found in mine.items()})
        return {row: tuple(x.to(device) for x in found) for each in sent for row, found in each.items()}

    def joined(self, outputs: list[LossOutputs]) -> list[LossOutputs]:
        """The loss outputs of all ranks' parts, on every rank."""
        if self.world.size == 1:
            return outputs
        sent = [LossOutputs(o.loss.cpu(), {name: x.cpu() for name, x in o.metrics.items()}) for o in outputs]
        return [each for several in self.world.all_gather(sent) for each in several]
