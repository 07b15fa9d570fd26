"""Sampling parameters: an agent's own where they may stand, and how a call records what was in force."""

from __future__ import annotations

from dataclasses import replace

from katcore.engine import SamplingParams
from katcore.gateway.dialects import BadRequest, Request
from katcore.pool import seed_for
from katcore.records import Json, Sampling

AGENT_SAMPLING = ("temperature", "top_p", "top_k", "min_p")


def own_sampling(request: Request, params: SamplingParams) -> SamplingParams:
    """`params` with those of the agent's own parameters that engines know. BadRequest for a value that is no number."""
    own: Json = {name: request.asked[name] for name in AGENT_SAMPLING if name in request.asked}
    for name, value in own.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or (name != "top_k" and value < 0):
            raise BadRequest(f"{name} must be a number that is not negative")
    return replace(params, **own)


def sampling_seed(request: Request, seed: int, number: int, own: bool) -> int:
    """The seed of a session's call with that number; with `own`, the agent's seed decides where it gives one.

    Then the same prompt gives the same answer again within a session, and another in another sample's. 31 bits: engines
    take no more.
    """
    key = f"seed {request.seed}" if own and request.seed is not None else f"call {number}"
    return seed_for(seed, key) & 0x7FFFFFFF


def recorded(params: SamplingParams) -> Sampling:
    """The parameters as kat.trajectory has them."""
    return Sampling(
        temperature=params.temperature,
        top_p=params.top_p,
        top_k=params.top_k,
        min_p=params.min_p,
        grammar=params.grammar,
    )
