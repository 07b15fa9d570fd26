"""All streams in one loss: reinforcement, imitation, distillation and the pull to a reference, per token.

Which stream trains a token stands in its three weights; a token may be in several. Each stream has its own weight and
its own scales, so that adding demonstrations to a step does not thin out its policy gradient: packs of one step number
made for other objectives (`kat-pack-trie --for grpo`, `--for sft`) are one step, in which each counts its own tokens.
"""

from __future__ import annotations

from katcore.train.losses.clipped import clipped
from katcore.train.losses.inputs import LossInputs, LossOutputs
from katcore.train.losses.kl import ref_kl
from katcore.train.losses.metrics import combined, common_metrics
from katcore.train.losses.opd import distillation
from katcore.train.losses.supervised import sft
from katcore.train.options import LossSettings


def mixed(inputs: LossInputs, settings: LossSettings) -> LossOutputs:
    """L = mix_rl · L_rl + mix_ce · L_ce + opd_weight · L_distillation + kl_ref · L_ref.

    L_rl is per token, or per turn or sequence when the settings name a segment. InputError when a token wants a teacher
    and the packs have none.
    """
    sampled = (inputs.rl_weight != 0) | (inputs.kl_weight != 0)
    streams = [
        _weighted(settings.mix_rl, clipped(inputs, settings, settings.segment_or("token"))),
        _weighted(settings.mix_ce, sft(inputs, settings)),
        ref_kl(inputs, settings),
    ]
    if bool((inputs.kl_weight != 0).any()):
        streams.append(distillation(inputs, settings))
    return combined(*streams, common_metrics(inputs, settings, sampled | (inputs.ce_weight != 0), sampled))


def _weighted(weight: float, stream: LossOutputs) -> LossOutputs:
    return LossOutputs(weight * stream.loss, stream.metrics)
