"""Weighted negative log-likelihood: the loss of every supervised stage.

The objectives differ in their weights alone, which the packer wrote: `sft` counts every sampled token, `em-sft` gives
0 to failed tool calls (KAT-Coder-V1 § 2.1), `tst` makes each coherent subtree a sample, `rft` keeps what was rewarded.
"""

from __future__ import annotations

from katcore.train.losses.inputs import LossInputs, LossOutputs
from katcore.train.options import LossSettings


def sft(inputs: LossInputs, settings: LossSettings) -> LossOutputs:
    """L = Σ_t scale_t · w_t · (−log π(y_t)),  w_t = `ce_weight`."""
    used = inputs.ce_weight != 0
    scale = inputs.scale if inputs.ce_scale is None else inputs.ce_scale
    nll = -inputs.logprob
    loss = (scale * inputs.ce_weight * nll).sum()
    return LossOutputs(loss, {"nll": nll.detach()[used], "entropy": inputs.entropy[used]})
