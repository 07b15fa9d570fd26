"""GSPO: the clipped surrogate with one ratio a turn (KAT-Coder-V2 eq. 6-7) or a sequence."""

from __future__ import annotations

from katcore.train.losses.clipped import clipped
from katcore.train.losses.inputs import LossInputs, LossOutputs
from katcore.train.losses.kl import ref_kl
from katcore.train.losses.metrics import combined, common_metrics
from katcore.train.options import LossSettings, Segment


def gspo(inputs: LossInputs, settings: LossSettings) -> LossOutputs:
    """L = −Σ_t scale_t · c_t · min(s_{k,t} A_t, clip(s_{k,t}, 1 − ε_l, 1 + ε_h) A_t) + kl_ref · L_ref.

    J of method.md § 7.3 is −L under the reducer that `reducer_of` names. With `turn-mean` a term's scale is
    1 / (S · K_i · |T_k|): the |T_k| terms of a turn, each of the turn's own value, sum to
    1 / (S · K_i) · min(s_k A, clip(s_k) A). The gradient in log π(y_t) comes out right because that of s_{k,t} is
    |T_k| · ∂s_k/∂log π(y_t): s_k for the geometric mean, |T_k| s_k for the product.
    """
    streams = (clipped(inputs, settings, segment_of(settings)), ref_kl(inputs, settings))
    return combined(*streams, common_metrics(inputs, settings, inputs.rl_weight != 0))


def segment_of(settings: LossSettings) -> Segment:
    """The terms over which one ratio is taken: those of a turn, unless the settings say something else."""
    return settings.segment_or("turn")


def reducer_of(segment: Segment) -> str:
    """The reducer under which the sum over terms is the published mean over samples of a mean over segments."""
    return {"token": "token-mean", "turn": "turn-mean", "sequence": "seq-mean-token-mean"}[segment]
