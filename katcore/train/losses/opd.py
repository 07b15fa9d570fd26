"""On-policy distillation: the teacher's opinion of the student's own tokens as an advantage a token (method.md § 8)."""

from __future__ import annotations

from katcore.errors import InputError
from katcore.train.losses.clipped import clipped
from katcore.train.losses.inputs import LossInputs, LossOutputs
from katcore.train.losses.kl import ref_kl
from katcore.train.losses.metrics import combined, common_metrics
from katcore.train.losses.off_policy import correction
from katcore.train.losses.ratio import token_ratio
from katcore.train.options import LossSettings


def distillation(inputs: LossInputs, settings: LossSettings) -> LossOutputs:
    """L = −c · Σ_t kl_scale_t · c_t · w_t · r_t · A_t,  A_t = −sg[log π(y_t) − log π_T(y_t)],  w_t = `kl_weight`.

    Differentiating the estimate log π − log π_T itself would give a gradient that does not depend on the teacher.
    """
    if inputs.teacher_logprob is None:
        raise InputError("these packs carry no teacher log-probs", hint="kat-distill score adds them")
    used = inputs.kl_weight != 0
    gap = (inputs.logprob.detach() - inputs.teacher_logprob)[used]  # nats
    weight = (inputs.kl_scale * correction(inputs, settings, used).weight * inputs.kl_weight)[used]
    loss = settings.opd_weight * (weight * token_ratio(inputs)[used] * gap).sum()  # gap = −A_t, and the loss is −Σ r A
    return LossOutputs(loss, {"teacher_gap": gap})


def opd(inputs: LossInputs, settings: LossSettings) -> LossOutputs:
    """L = L_rl + c · L_distillation + kl_ref · L_ref; L_rl joins in where the packs carry advantages."""
    streams = [distillation(inputs, settings), ref_kl(inputs, settings)]
    used = inputs.kl_weight != 0
    if bool((inputs.rl_weight * inputs.advantage != 0).any()):
        streams.append(clipped(inputs, settings, settings.segment_or("token")))
        used = used | (inputs.rl_weight != 0)
    return combined(*streams, common_metrics(inputs, settings, used))
