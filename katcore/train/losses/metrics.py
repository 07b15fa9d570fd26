"""From values per term to one number a name: what a step reports of its losses.

The name's end says how: `_max` the largest, `_p01`, `_p50`, `_p99` that percentile, anything else the mean. Values of
one name are pooled over all packs of a step first, so neither percentiles nor means depend on how it was cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from katcore.train.losses.inputs import LossInputs, LossOutputs
from katcore.train.losses.off_policy import correction, engine_metrics
from katcore.train.options import LossSettings

PERCENTILE = re.compile(r"_p(\d\d)$")


def common_metrics(
    inputs: LossInputs, settings: LossSettings, used: Tensor, sampled: Tensor | None = None
) -> LossOutputs:
    """What every objective reports, as a stream whose loss is 0.

    The entropy (nats) of the `used` terms, and the distance of engine and trainer on the `sampled` ones, those of the
    on-policy streams (default: `used`); both are [M] bool.
    """
    sampled = used if sampled is None else sampled
    metrics = {"entropy": inputs.entropy[used], **engine_metrics(inputs, sampled)}
    return LossOutputs(inputs.logprob.new_zeros(()), metrics | correction(inputs, settings, sampled).metrics)


def combined(*streams: LossOutputs) -> LossOutputs:
    """The sum of several streams over the same terms, and the metrics of all."""
    metrics: dict[str, Tensor] = {}
    for stream in streams:
        metrics |= stream.metrics
    return LossOutputs(sum((stream.loss for stream in streams[1:]), streams[0].loss), metrics)


def reduce_metrics(outputs: Sequence[LossOutputs]) -> dict[str, float]:
    """One number for each name in the outputs of a step's packs; names without a value are left out."""
    return reduce_values(out.metrics for out in outputs)


def reduce_values(parts: Iterable[dict[str, Tensor]]) -> dict[str, float]:
    """`reduce_metrics` from the bare metrics, such as those gathered from several ranks."""
    pooled: dict[str, list[Tensor]] = {}
    for metrics in parts:
        for name, values in metrics.items():
            pooled.setdefault(name, []).append(values.detach().flatten())
    joined = {name: torch.cat(values).double() for name, values in pooled.items()}
    return {name: _reduced(name, values) for name, values in joined.items() if len(values)}


def _reduced(name: str, values: Tensor) -> float:
    if name.endswith("_max"):
        return float(values.max())
    if found := PERCENTILE.search(name):
        return _percentile(values, int(found[1]))
    return float(values.mean())


def _percentile(values: Tensor, percent: int) -> float:
    """The percentile of `values`, interpolated between the two nearest; torch.quantile takes at most 2^24 values."""
    place = (len(values) - 1) * percent / 100
    low = int(place)
    below = values.kthvalue(low + 1).values
    above = values.kthvalue(min(low + 2, len(values))).values
    return float(torch.lerp(below, above, place - low))
