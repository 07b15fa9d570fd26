"""The objectives by name: the loss, what it trains on, whether it couples terms, and its own reducer."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from katcore.train.losses.grpo import grpo
from katcore.train.losses.gspo import gspo, reducer_of, segment_of
from katcore.train.losses.inputs import Loss
from katcore.train.losses.mixed import mixed
from katcore.train.losses.opd import opd
from katcore.train.losses.supervised import sft
from katcore.train.options import LossSettings, Segment


def _token(settings: LossSettings) -> Segment:
    return "token"


def _chosen(settings: LossSettings) -> Segment:
    return settings.segment_or("token")


class LossObjective(NamedTuple):
    """One row of OBJECTIVES: a loss, the columns of a pack that it trains on, and what its ratios span."""

    loss: Loss
    weight: str
    """The column of the pack without which there is nothing to train on; `mixed` takes any of `weights`."""
    weights: tuple[str, ...]
    """All columns of a pack that the loss trains on."""
    segment: Callable[[LossSettings], Segment] = _token
    """The segment over which one importance ratio is taken, as the settings have it."""

    def coupled(self, settings: LossSettings) -> bool:
        """Whether a term's gradient depends on log-probs of other terms: it then needs all of a segment's at once."""
        return self.segment(settings) != "token"

    def reducer(self, settings: LossSettings) -> str:
        """The name of the published formula's reducer, which is taken when the options name none."""
        return reducer_of(self.segment(settings))


_SUPERVISED = LossObjective(sft, "ce_weight", ("ce_weight",))

OBJECTIVES: dict[str, LossObjective] = {
    "sft": _SUPERVISED,
    "em-sft": _SUPERVISED,
    "tst": _SUPERVISED,
    "rft": _SUPERVISED,
    "grpo": LossObjective(grpo, "rl_weight", ("rl_weight",)),
    "gspo": LossObjective(gspo, "rl_weight", ("rl_weight",), segment_of),
    "opd": LossObjective(opd, "kl_weight", ("kl_weight", "rl_weight"), _chosen),
    "mixed": LossObjective(mixed, "rl_weight", ("rl_weight", "ce_weight", "kl_weight"), _chosen),
}
"""The objectives by the name that `--objective` takes."""
