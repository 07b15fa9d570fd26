"""What an agent demands of an answer, as outside endpoints want it said.

In: a request in the normalised form, whatever dialect it came in. Out: members of the endpoint's request. What the API
has no word for is not sent: Anthropic's has no seed. What an endpoint does not like, it refuses itself.
"""

from __future__ import annotations

from katcore.gateway.dialects import Request
from katcore.gateway.dialects.constraints import ANY_OBJECT
from katcore.records import Json

EFFORTS = {"minimal": "low"}
"""Words for effort that OpenAI's clients have and Anthropic's API lacks."""


def for_openai(request: Request) -> Json:
    """Members of a Chat Completions request."""
    body: Json = {}
    if request.schema is not None:
        named = {"name": request.schema.name or "answer", "schema": request.schema.schema}
        strict = {**named, "strict": request.schema.strict}
        whole = {"type": "json_schema", "json_schema": strict}
        body["response_format"] = {"type": "json_object"} if request.schema.schema in ({}, ANY_OBJECT) else whole
    if request.parallel is not None and request.tools:
        body["parallel_tool_calls"] = request.parallel
    body |= {"seed": request.seed} if request.seed is not None else {}
    return body | ({"reasoning_effort": request.effort} if request.effort else {})


def for_anthropic(request: Request, choice: Json | None) -> Json:
    """Members of a Messages request; `choice` is its `tool_choice`, if it has one."""
    body: Json = {} if choice is None else {"tool_choice": choice}
    if request.parallel is False and request.tools:
        body["tool_choice"] = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    config: Json = {}
    if request.schema is not None:
        config["format"] = {"type": "json_schema", "schema": request.schema.schema}
    if request.effort == "none":
        body |= {"thinking": {"type": "disabled"}}
    elif request.effort:
        config["effort"] = EFFORTS.get(request.effort, request.effort)
    return body | ({"output_config": config} if config else {})
