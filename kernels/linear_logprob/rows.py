"""Which hidden rows some target reads, with the targets of one row side by side.

In: hidden [R, H], targets [M], row [M] in any order, rows repeated (forks) or named by nobody. Out: only the rows that
are read, so that the others cost nothing, and targets sorted by row, so that a kernel finds a row's targets in a range.
No log-probs here.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ReadRows:
    """R hidden rows that are read, M targets sorted by row; `order` and `local` lead back to the caller's order."""

    hidden: Tensor  # [R, H]
    targets: Tensor  # [M]
    row: Tensor  # [M], ascending, index into hidden
    order: Tensor  # [M], targets == caller's targets[order]
    local: Tensor  # [M], the row of each target in the caller's order

    def unsorted(self, values: Tensor) -> Tensor:
        """`values` [M] of the sorted targets, in the caller's order."""
        back = torch.empty_like(self.order)
        back[self.order] = torch.arange(len(back), device=back.device)
        return values[back]


def read_rows(hidden: Tensor, targets: Tensor, row: Tensor) -> ReadRows:
    """Sorts M targets by row; the hidden rows are copied only if some of them are left out."""
    rows, local = row.unique(return_inverse=True)  # ascending
    order = local.argsort(stable=True)
    return ReadRows(hidden if len(rows) == len(hidden) else hidden[rows], targets[order], local[order], order, local)
