"""What of an agent's own request goes on to an endpoint: every field that the endpoint may know, but for some.

In: a request with the body that it came in. Out: the body's other fields, and what of them the endpoint's API calls
otherwise. Left out is what the session decides itself (OURS), and what would let the provider act, fetch or keep
something by itself (OUTSIDE): an agent in a box would reach out of it.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from katcore.engine import SamplingParams
from katcore.gateway.dialects import Request
from katcore.gateway.external.reading import table
from katcore.records import Json

OURS = frozenset(
    ["model", "messages", "system", "input", "instructions", "tools", "tool_choice", "functions", "function_call",
     "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "max_output_tokens", "temperature",
     "top_p", "stop", "stop_sequences"]
)  # fmt: skip
OUTSIDE = re.compile(
    "search|web|mcp|plugin|browse|fetch|container|data_?source|connector|extension|url|file|hook|conversation"
    "|previous_|background|^store$|^models$|^route$|^provider$|^transforms$|^prompt$|^modalities$|^audio$"
)
CACHE = "cache_control"


def given(request: Request) -> Json:
    """The body that a request came in; empty where nobody kept it."""
    try:
        return table(msgspec.json.decode(request.body)) if request.body else {}
    except (ValueError, RecursionError):
        return {}


def others(body: Json, said: dict[str, None]) -> Json:
    """The fields of a body that go on as they are; `said` gets a line about each that would act outside."""
    found = {name: value for name, value in body.items() if name not in OURS and value is not None}
    for name in [name for name in found if OUTSIDE.search(name)]:
        if found.pop(name):
            said[f"agents' requests have {name}, which is not passed on: the provider would act by itself"] = None
    return found


def lost(body: Json, known: frozenset[str], api: str, said: dict[str, None]) -> None:
    """Note each field of a body that another API has no place for."""
    for name in sorted(set(others(body, said)) - known):
        said[f"agents' requests have {name}, which {api} has no place for: it is not passed on"] = None


def sampling(request: Request, params: SamplingParams) -> Json:
    """The parameters in force that both APIs know; what is off is not sent."""
    found: Json = {}
    if params.temperature != 1 or "temperature" in request.asked:  # some models take none at all
        found["temperature"] = params.temperature
    return found | ({"top_p": params.top_p} if params.top_p < 1 else {})


def mark(value: Any) -> Json | None:
    """The last cache mark of a list of parts, if there is one: what stands before it is to be cached."""
    parts = value if isinstance(value, list) else []
    marks = [part[CACHE] for part in parts if isinstance(part, dict) and part.get(CACHE)]
    return marks[-1] if marks else None
