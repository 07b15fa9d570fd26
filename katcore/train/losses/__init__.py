"""Losses over the term table: log-probs gathered into path space in, one scalar and per-term metrics out.

    objective = OBJECTIVES["gspo"]
    out = objective.loss(inputs, settings)               # out.loss.backward(), where nothing is coupled
    if objective.coupled(settings):                      # else the step's log-probs first, without gradient
        linear = linearise(objective.loss, inputs, settings)
        linear_loss(logprob, linear.weight[of_pack]).backward()      # pack by pack
    metrics = reduce_metrics(outputs)

One loss, one file, with formula and source. No loss knows of trees, packs or ranks, and none runs a model.
"""

from katcore.train.losses.coupled import Linear, linear_loss, linearise, scatter
from katcore.train.losses.grpo import grpo
from katcore.train.losses.gspo import gspo
from katcore.train.losses.inputs import Loss, LossInputs, LossOutputs
from katcore.train.losses.kl import kl_term, ref_kl
from katcore.train.losses.metrics import reduce_metrics, reduce_values
from katcore.train.losses.mixed import mixed
from katcore.train.losses.objectives import OBJECTIVES, LossObjective
from katcore.train.losses.off_policy import correction
from katcore.train.losses.opd import opd
from katcore.train.losses.supervised import sft
from katcore.train.options import LossSettings, Segment

__all__ = [
    "OBJECTIVES",
    "Linear",
    "Loss",
    "LossInputs",
    "LossObjective",
    "LossOutputs",
    "LossSettings",
    "Segment",
    "correction",
    "grpo",
    "gspo",
    "kl_term",
    "linear_loss",
    "linearise",
    "mixed",
    "opd",
    "reduce_metrics",
    "reduce_values",
    "ref_kl",
    "scatter",
    "sft",
]
