"""Sampling parameters: an agent's own where they may stand, and how a call records what was in force."""

from __future__ import annotations

from dataclasses import replace

from katcore.engine import SamplingParams
from katcore.gateway.dialects import BadRequest, Request
from katcore.records import Json, Sampling

AGENT_SAMPLING = ("temperature", "top_p", "top_k", "min_p")


def own_sampling(request: Request, params: SamplingParams) -> SamplingParams:
    """`params` with those of the agent's own parameters that engines know. BadRequest for a value that is no number."""
    own: Json = {name: request.asked[name] for name in AGENT_SAMPLING if name in request.asked}
    for name, value in own.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or (name != "top_k" and value < 0):
            raise BadRequest(f"{name} must be a number that is not negative")
    return replace(params, **own)


def recorded(params: SamplingParams) -> Sampling:
    """The parameters as kat.trajectory has them."""
    return Sampling(temperature=params.temperature, top_p=params.top_p, top_k=params.top_k, min_p=params.min_p)
