"""A row's trained terms on the model's device, ready to be read part by part.

In: a `PackRow`, a budget. Out: `TermTensors`: the row's forest cut into parts, and for any of the tokens that a part
evaluates the `LossInputs` of the terms that train them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from katcore.model.partition import partition
from katcore.model.walk import WalkPlan
from katcore.train.batch import PackRow
from katcore.train.losses import LossInputs


@dataclass(frozen=True)
class TermTensors:
    """M terms of T tokens; `columns` are the loss's inputs that no model has to be asked for, all [M], floats fp64."""

    plan: WalkPlan
    place: Tensor  # [M] int64, the term's token in plan.index
    columns: LossInputs
    packed_old: Tensor | None  # [M], π_old where the pack brings it
    order: Tensor  # [M], terms by token
    bounds: Tensor  # [T + 1], where each token's terms begin in `order`

    @classmethod
    def of_row(cls, row: PackRow, budget: int, device: torch.device, *, weighted: bool = True) -> TermTensors:
        """The row's terms; its forest in parts of at most `budget` tokens, 0: whole.

        `weighted`: only terms with a weight in some stream. The others cost time for nothing, unless a loss couples
        terms: a segment's ratio is over all of its tokens. Denominators stand in the scales and change with neither.
        """
        live = torch.arange(len(row.term_token))
        if weighted:
            live = ((row.rl_weight != 0) | (row.ce_weight != 0) | (row.kl_weight != 0)).nonzero()[:, 0]
        token = row.term_token[live]
        index, place = token.unique(return_inverse=True)
        order = place.argsort(stable=True)
        tree = row.tree.to(device)

        def of_terms(column: Tensor | None) -> Tensor | None:
            return None if column is None else column[live].to(device)

        def of_tokens(column: Tensor | None) -> Tensor | None:
            return None if column is None else column[token].to(device)

        empty = torch.empty(0, dtype=torch.float64, device=device)
        return cls(
            WalkPlan.of(tree, partition(tree, budget), index.to(device)),
            place.to(device),
            LossInputs(
                logprob=empty,
                entropy=empty,
                old_logprob=empty,
                scale=row.scale[live].to(device),
                kl_scale=row.flat_scale[live].to(device),
                rl_weight=row.rl_weight[live].to(device),
                ce_weight=row.ce_weight[live].to(device),
                kl_weight=row.kl_weight[live].to(device),
                advantage=row.advantage[live].to(device),
                engine_logprob=of_terms(row.engine_logprob),
                teacher_logprob=of_tokens(row.teacher_logprob),
                ref_logprob=of_tokens(row.ref_logprob),
                segment_turn=of_terms(row.segment_turn),
                segment_sample=of_terms(row.segment_sample),
                version_age=of_terms(row.age),
            ),
            of_tokens(row.old_logprob),
            order.to(device),
            torch.searchsorted(place[order], torch.arange(len(index) + 1)).to(device),
        )

    def __len__(self) -> int:
        return len(self.place)

    def of(self, which: Tensor) -> tuple[Tensor, Tensor]:
        """For tokens `which` [t], ascending places in plan.index: their terms [m], and each term's place in `which`."""
        # Each token's terms are a range of `order`; the ranges are laid one after the other without a loop.
        begin, end = self.bounds[which], self.bounds[which + 1]
        counts = end - begin
        local = torch.arange(len(which), device=which.device).repeat_interleave(counts)
        first = counts.cumsum(0) - counts  # [t], where each token's range begins in the result
        inside = torch.arange(len(local), device=which.device) - first[local]
        return self.order[begin[local] + inside], local

    def inputs(self, chosen: Tensor, logprob: Tensor, entropy: Tensor, old: Tensor) -> LossInputs:
        """What a loss takes of the terms `chosen` [m], in logprob's dtype; the other arguments are [m] of them."""
        columns = {
            name: None if (column := getattr(self.columns, name)) is None else column[chosen]
            for name in LossInputs.__dataclass_fields__
            if name not in ("logprob", "entropy", "old_logprob")
        }
        columns = {
            name: column.to(logprob) if column is not None and column.is_floating_point() else column
            for name, column in columns.items()
        }  # .to(logprob): its device and dtype
        return LossInputs(logprob=logprob, entropy=entropy, old_logprob=old.to(logprob), **columns)

    def with_advantages(self, factor: Tensor) -> TermTensors:
        """The same terms with advantages multiplied by `factor` [M]."""
        return replace(self, columns=replace(self.columns, advantage=self.columns.advantage * factor))

    def with_reference(self, logprob: Tensor) -> TermTensors:
        """The same terms with the reference policy's log-probs [M]."""
        return replace(self, columns=replace(self.columns, ref_logprob=logprob))


def joined(parts: list[LossInputs]) -> LossInputs:
    """The terms of several rows as one; what any of them lacks, the whole lacks."""
    columns = {}
    for name in LossInputs.__dataclass_fields__:
        values = [getattr(part, name) for part in parts]
        columns[name] = None if any(value is None for value in values) else torch.cat(values)
    return LossInputs(**columns)
