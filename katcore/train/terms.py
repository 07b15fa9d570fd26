"""A row's trained terms on the model's device, ready to be read part by part.

In: a `Row`, a budget. Out: `Terms`: the row's forest cut into parts, and for any of the tokens that a part evaluates the
`LossInputs` of the terms that train them. Terms without a weight in any stream cost nothing; their place in the
denominators is in the other terms' scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from katcore.model.partition import partition
from katcore.model.walk import Plan
from katcore.train.batch import Row
from katcore.train.losses import LossInputs


@dataclass(frozen=True)
class Terms:
    """M terms with a weight, of T tokens. All [M], on the model's device, floats in fp64."""

    plan: Plan
    place: Tensor  # int64, the term's token in plan.index
    scale: Tensor
    kl_scale: Tensor
    rl_weight: Tensor
    ce_weight: Tensor
    kl_weight: Tensor
    advantage: Tensor
    engine_logprob: Tensor | None
    teacher_logprob: Tensor | None
    old: Tensor | None
    order: Tensor  # [M], terms by token
    bounds: Tensor  # [T + 1], where each token's terms begin in `order`

    @classmethod
    def of_row(cls, row: Row, budget: int, device: torch.device) -> Terms:
        """The row's terms; its forest in parts of at most `budget` tokens, 0: whole."""
        live = ((row.rl_weight != 0) | (row.ce_weight != 0) | (row.kl_weight != 0)).nonzero()[:, 0]
        token = row.term_token[live]
        index, place = token.unique(return_inverse=True)
        tree = row.tree.to(device)
        order = place.argsort(stable=True)
        bounds = torch.searchsorted(place[order], torch.arange(len(index) + 1))

        def here(column: Tensor | None, rows: Tensor = live) -> Tensor | None:
            return None if column is None else column[rows].to(device)

        return cls(
            Plan.of(tree, partition(tree, budget), index.to(device)),
            place.to(device),
            *(x[live].to(device) for x in (row.scale, row.kl_scale, row.rl_weight, row.ce_weight, row.kl_weight)),
            advantage=row.advantage[live].to(device),
            engine_logprob=here(row.engine_logprob),
            teacher_logprob=here(row.teacher_logprob, token),
            old=here(row.old_logprob, token),
            order=order.to(device),
            bounds=bounds.to(device),
        )

    def __len__(self) -> int:
        return len(self.place)

    def of(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """For tokens `which` [t], ascending places in plan.index: their terms [m], and each term's place in `which`."""
        begin, end = self.bounds[which], self.bounds[which + 1]
        counts = end - begin
        local = torch.arange(len(which), device=which.device).repeat_interleave(counts)
        first = counts.cumsum(0) - counts
        inside = torch.arange(len(local), device=which.device) - first[local]
        return self.order[begin[local] + inside], local

    def inputs(self, chosen: Tensor, logprob: Tensor, entropy: Tensor, old: Tensor) -> LossInputs:
        """What a loss takes, for the terms `chosen` [m]; the other arguments are those terms' own."""

        def like(column: Tensor) -> Tensor:
            return column[chosen].to(logprob)  # its device and dtype

        return LossInputs(
            logprob=logprob,
            entropy=entropy,
            scale=like(self.scale),
            kl_scale=like(self.kl_scale),
            rl_weight=like(self.rl_weight),
            ce_weight=like(self.ce_weight),
            kl_weight=like(self.kl_weight),
            advantage=like(self.advantage),
            old_logprob=old.to(logprob),
            engine_logprob=None if self.engine_logprob is None else like(self.engine_logprob),
            teacher_logprob=None if self.teacher_logprob is None else like(self.teacher_logprob),
        )
