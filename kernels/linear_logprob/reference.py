"""Log-probs and entropies with all logits in memory: what every other backend must equal.

Legend: R hidden rows, H hidden size, V vocabulary, M targets.
"""

from __future__ import annotations

import torch
from torch import Tensor


def logprob_dense(
    hidden: Tensor, weight: Tensor, targets: Tensor, row: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """hidden [R, H], weight [V, H], targets and row [M] → logprob [M], entropy [M]."""
    compute = torch.promote_types(hidden.dtype, torch.float32)
    logits = hidden.to(compute) @ weight.to(compute).T / temperature  # [R, V]
    logp = torch.log_softmax(logits, -1)  # [R, V]
    entropy = -(logp.exp() * logp).sum(-1)  # [R]
    return logp[row, targets], entropy[row]
