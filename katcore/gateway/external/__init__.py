"""Outside endpoints, OpenAI- or Anthropic-compatible, for teacher data: text and usage pass through, tokens do not.

In: a request in the normalised form, with the body and the dialect that it came in. Out: the answer in the normalised
form; refused, filtered and cut ones say so in their finish reason. `openai` and `anthropic` write and read the two
APIs, `passing` says what of an agent's own fields goes on, `http` asks until there is an answer, `refused` leaves out
what an endpoint refuses, `reading` and `events` take answers of odd shapes. What the provider would do by itself (web
search and the like) never reaches it. The key is read from the environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from katcore.engine import SamplingParams
from katcore.errors import EngineError, UsageError, first_line
from katcore.gateway.dialects import BadRequest, Request
from katcore.gateway.external import anthropic, openai
from katcore.gateway.external.http import Endpoint
from katcore.gateway.gate import Gate
from katcore.gateway.model import Answer, Told
from katcore.gateway.tree import Prompt
from katcore.records import Json


class Api(Protocol):
    """How one kind of endpoint is written to and read; `said` gets a line about each thing that is lost on the way."""

    PATH: str

    def body(self, request: Request, params: SamplingParams, model: str, said: dict[str, None]) -> Json:
        """The request's body."""

    def answer(self, given: Json, request: Request, seed: str, said: dict[str, None]) -> Answer:
        """The answer in the normalised form; raises what its shape makes it raise."""

    def assembled(self, events: Iterator[Any]) -> Json:
        """The answer that a stream of events makes; None among them is the stream's own end. Unreadable when cut."""


APIS: dict[str, Api] = {"openai": openai, "anthropic": anthropic}
KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
VERSION = "2023-06-01"
BETA = "anthropic-beta"


def check_key(kind: Literal["openai", "anthropic"], variable: str = "") -> str:
    """The environment variable that holds the key of such an endpoint; UsageError when it is not set."""
    variable = variable or KEYS[kind]
    if not os.environ.get(variable):
        raise UsageError(f"engine {kind}: needs a key", hint=f"put it into the environment as {variable}")
    return variable


@dataclass
class ExternalModel:
    """An endpoint at `url` (with `/v1` for OpenAI's, without for Anthropic's); `model` overrides the agent's choice.

    `timeout_s` is the longest that one try may take, `call_s` all tries of a call with the pauses between them.
    """

    kind: Literal["openai", "anthropic"]
    url: str
    name: str
    model: str = ""
    key_variable: str = ""
    timeout_s: float = 900.0
    call_s: float = 1800.0
    first_pause_s: float = 0.5
    _endpoint: Endpoint = field(init=False, repr=False)
    _said: dict[str, None] = field(default_factory=dict, repr=False)

    chat = None

    def __post_init__(self) -> None:
        self.key_variable = check_key(self.kind, self.key_variable)
        times = (self.timeout_s, self.call_s, self.first_pause_s)
        self._endpoint = Endpoint(self.name, self.url, APIS[self.kind].assembled, *times)

    async def answer(
        self, prompt: Prompt, request: Request, params: SamplingParams, turn: int, seed: str, gate: Gate, told: Told
    ) -> Answer:
        """The answer of one call of the endpoint.

        Raises Refused for what the endpoint refuses of it, ContextOverflow for too long a prompt, Denied where it does
        not take the key, and EngineError where it is away or its answer cannot be read.
        """
        api = APIS[self.kind]
        try:
            body = api.body(request, params, self.model, self._said)
        except (KeyError, TypeError, AttributeError, ValueError) as reason:
            raise BadRequest(f"the endpoint's API has no way to say this: {reason!r}") from None
        given = await self._endpoint.ask(api.PATH, body, self._headers(request))
        try:
            return api.answer(given, request, seed, self._said)
        except Exception as reason:  # noqa: BLE001 - other people's data: whatever is wrong, it is this call's affair
            said = f"{type(reason).__name__}: {first_line(reason)}"
            raise EngineError(f"{self.name}: answered in another shape ({said})") from None

    def said(self) -> list[str]:
        """A line for people about each thing that was left out of requests or taken for another."""
        return [*self._endpoint.refusals.said, *self._said]

    async def close(self) -> None:
        """Close the connections to the endpoint."""
        await self._endpoint.close()

    def _headers(self, request: Request) -> dict[str, str]:
        key = os.environ[self.key_variable]
        common = {"Content-Type": "application/json"}
        if self.kind == "openai":
            return common | {"Authorization": f"Bearer {key}"}
        betas = {BETA: request.betas} if request.betas else {}
        return common | {"x-api-key": key, "anthropic-version": VERSION} | betas
