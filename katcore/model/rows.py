"""Some rows of tensors: a view of them where they follow one another, as those of a path mostly do, else a copy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch  # noqa: TID253 - only code that runs a model imports this module
from torch import Tensor  # noqa: TID253


@dataclass(frozen=True)
class Rows:
    """The rows at `index` [R] int64, ascending; the tensors that they are taken from are [N, …]."""

    index: Tensor

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def at(self) -> slice | Tensor:
        """The index as a slice where the rows follow one another; found once, because that waits for the device."""
        first, last = (int(self.index[0]), int(self.index[-1])) if len(self) else (0, -1)
        return slice(first, last + 1) if last - first + 1 == len(self) else self.index

    def of(self, tensor: Tensor) -> Tensor:
        """These rows of `tensor`, [R, …]: a view or a copy."""
        return tensor[self.at]

    def add(self, tensor: Tensor, values: Tensor) -> None:
        """Add `values` [R, …] to these rows of `tensor` in place, in the tensor's dtype."""
        if isinstance(self.at, slice):
            tensor[self.at] += values
        else:
            tensor.index_add_(0, self.at, values.to(tensor.dtype))

    def to(self, device: torch.device) -> Rows:
        """The same rows, for tensors on another device."""
        return Rows(self.index.to(device))
