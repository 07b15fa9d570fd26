"""Outside endpoints, OpenAI- or Anthropic-compatible, for teacher data: text and usage pass through, tokens do not.

In: a request in the normalised form, whatever dialect it came in. Out: the answer in the same form. What the provider
would do by itself (web search and the like) never reaches it: the dialects leave such tools out. Failures become
EngineError after retries, a prompt that is too long ContextOverflow. The key is read from the environment.
"""

from __future__ import annotations

import asyncio
import os
import random
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import aiohttp
import msgspec

from katcore.engine import SamplingParams
from katcore.engine.sglang import ContextOverflow
from katcore.errors import EngineError, UsageError
from katcore.gateway.dialects import ANY, BadRequest, Request, arguments_of_object
from katcore.gateway.dialects.anthropic_messages import FINISH_REASONS, assistant_of, blocks_of
from katcore.gateway.gate import Gate
from katcore.gateway.messages import text_of
from katcore.gateway.model import Answer, Told
from katcore.gateway.passed_on import for_anthropic, for_openai
from katcore.gateway.tree import Prompt, Sampled
from katcore.records import Json, ToolCall

KEYS = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}
VERSION = "2023-06-01"
ATTEMPTS = 4
RETRIED = (408, 409, 429, 500, 502, 503, 504, 529)
OVERFLOW = ("context length", "context_length", "prompt is too long", "maximum context", "context window")
OPENAI_FINISH = {"stop": "stop", "tool_calls": "tool_calls", "function_call": "tool_calls", "length": "length"}


def check_key(kind: Literal["openai", "anthropic"], variable: str = "") -> str:
    """The environment variable that holds the key of such an endpoint; UsageError when it is not set."""
    variable = variable or KEYS[kind]
    if not os.environ.get(variable):
        raise UsageError(f"engine {kind}: needs a key", hint=f"put it into the environment as {variable}")
    return variable


@dataclass
class ExternalModel:
    """An endpoint at `url` (with `/v1` for OpenAI's, without for Anthropic's); `model` overrides the agent's choice."""

    kind: Literal["openai", "anthropic"]
    url: str
    name: str
    model: str = ""
    key_variable: str = ""
    timeout_s: float = 900.0
    first_pause_s: float = 0.5
    _session: aiohttp.ClientSession | None = field(default=None, repr=False)

    chat = None

    def __post_init__(self) -> None:
        self.key_variable = check_key(self.kind, self.key_variable)

    async def answer(
        self, prompt: Prompt, request: Request, params: SamplingParams, turn: int, seed: str, gate: Gate, told: Told
    ) -> Answer:
        """The answer of one call of the endpoint. Raises EngineError, or ContextOverflow for too long a prompt."""
        try:
            if self.kind == "openai":
                given = await self._post("/chat/completions", _openai_body(request, params, self.model))
                return _openai_answer(given)
            given = await self._post("/v1/messages", _anthropic_body(request, params, self.model))
            return _anthropic_answer(given)
        except (KeyError, TypeError, IndexError, AttributeError, BadRequest) as reason:
            raise EngineError(f"{self.name}: answered in another shape ({reason!r})") from None

    async def close(self) -> None:
        """Close the connections to the endpoint."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _post(self, path: str, body: Json) -> Json:
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(self.first_pause_s * 2**attempt * random.uniform(0.75, 1.0))
            try:
                status, data = await self._once(path, body)
            except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError, TimeoutError) as reason:
                problem = f"does not answer ({reason or type(reason).__name__})"
                continue
            if status == 200:
                return _object(data, self.name)
            problem = f"{path} answered {status}: {_said(data)}"
            if status in (400, 413) and any(sign in problem.lower() for sign in OVERFLOW):
                raise ContextOverflow(f"{self.name}: {problem}")
            if status not in RETRIED:
                break
        raise EngineError(f"{self.name}: {problem}")

    async def _once(self, path: str, body: Json) -> tuple[int, bytes]:
        if self._session is None or self._session.closed:
            timeout = aiohttp.ClientTimeout(total=self.timeout_s, sock_connect=10)
            self._session = aiohttp.ClientSession(timeout=timeout, trust_env=True)
        key = os.environ[self.key_variable]
        auth = {"Authorization": f"Bearer {key}"}
        if self.kind == "anthropic":
            auth = {"x-api-key": key, "anthropic-version": VERSION}
        headers = {"Content-Type": "application/json", **auth}
        url = self.url.rstrip("/") + path
        async with self._session.post(url, data=msgspec.json.encode(body), headers=headers) as response:
            return response.status, await response.read()


def _object(data: bytes, name: str) -> Json:
    try:
        return msgspec.json.decode(data, type=Json)
    except (msgspec.DecodeError, msgspec.ValidationError):
        raise EngineError(f"{name}: answered no JSON object: {data[:200]!r}") from None


def _said(data: bytes) -> str:
    return " ".join(data.decode("utf-8", "replace").split())[:500]


def _sampling(request: Request, params: SamplingParams, names: tuple[str, ...]) -> Json:
    """The parameters in force, and those of the agent's that only the endpoint knows; what is off is not sent."""
    found: Json = {name: request.asked[name] for name in names if name in request.asked}
    if params.temperature != 1 or "temperature" in request.asked:  # some models take none at all
        found["temperature"] = params.temperature
    return found | ({"top_p": params.top_p} if params.top_p < 1 else {})


# ------------------------------------------------------------------ OpenAI


def _openai_body(request: Request, params: SamplingParams, model: str) -> Json:
    kept = ("role", "content", "tool_calls", "tool_call_id", "name")
    messages = [{name: value for name, value in message.items() if name in kept} for message in request.messages]
    body: Json = {"model": model or request.model, "messages": messages}
    body |= {"tools": request.tools} if request.tools else {}
    if request.forced:
        named = {"type": "function", "function": {"name": request.forced}}
        body["tool_choice"] = "required" if request.forced == ANY else named
    body |= {"stop": list(request.stop)} if request.stop else {}
    body |= for_openai(request)
    names = ("presence_penalty", "frequency_penalty")
    return {**body, "max_completion_tokens": params.max_new_tokens, **_sampling(request, params, names)}


def _openai_answer(given: Json) -> Answer:
    choice, usage = given["choices"][0], given.get("usage") or {}
    said = choice["message"]
    message: Json = {"role": "assistant", "content": said.get("content")}
    reasoning = said.get("reasoning_content") or said.get("reasoning")
    message |= {"reasoning_content": reasoning} if isinstance(reasoning, str) and reasoning else {}
    message |= {"tool_calls": said["tool_calls"]} if said.get("tool_calls") else {}
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    finish = OPENAI_FINISH.get(choice.get("finish_reason"), "stop")
    return _answer(message, finish, cached, usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0)


# ------------------------------------------------------------------ Anthropic


def _anthropic_body(request: Request, params: SamplingParams, model: str) -> Json:
    system = "\n\n".join(text_of(m.get("content")) for m in request.messages if m["role"] in ("system", "developer"))
    body: Json = {"model": model or request.model, "max_tokens": params.max_new_tokens}
    body |= {"system": system} if system else {}
    body["messages"] = _turns([m for m in request.messages if m["role"] not in ("system", "developer")])
    if request.tools:
        body["tools"] = [_anthropic_tool(tool["function"]) for tool in request.tools]
    named = {"type": "any"} if request.forced == ANY else {"type": "tool", "name": request.forced}
    body |= for_anthropic(request, named if request.forced else None)
    body |= {"stop_sequences": list(request.stop)} if request.stop else {}
    sampling = _sampling(request, params, ("thinking",))
    if sampling.get("thinking"):  # which allows for no other temperature
        sampling = {"thinking": sampling["thinking"]}
    return {**body, **sampling}


def _anthropic_tool(function: Json) -> Json:
    described = {"description": function["description"]} if function.get("description") else {}
    return {"name": function["name"], **described, "input_schema": function["parameters"]}


def _turns(messages: list[Json]) -> list[Json]:
    """Messages as turns of user and assistant that alternate; results and the user's text are one turn."""
    turns: list[Json] = []
    for message in messages:
        role = "assistant" if message["role"] == "assistant" else "user"
        if turns and turns[-1]["role"] == role:
            turns[-1]["content"] += _blocks(message)
        else:
            turns.append({"role": role, "content": _blocks(message)})
    return turns


def _blocks(message: Json) -> list[Json]:
    if message["role"] == "assistant":  # thinking goes back only with the provider's own signature
        return blocks_of({**message, "content": text_of(message.get("content")), "reasoning_content": ""})
    text = text_of(message.get("content"))
    if message["role"] == "tool":
        error = {"is_error": True} if message.get("is_error") else {}
        return [{"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": text, **error}]
    return [{"type": "text", "text": text}]


def _anthropic_answer(given: Json) -> Answer:
    usage = given["usage"]
    cached = usage.get("cache_read_input_tokens") or 0
    size = usage["input_tokens"] + cached + (usage.get("cache_creation_input_tokens") or 0)
    finish = FINISH_REASONS.get(given.get("stop_reason") or "end_turn", "stop")
    answer = _answer(assistant_of(given["content"]), finish, cached, size, usage["output_tokens"])
    return replace(answer, stopped_by=str(given.get("stop_sequence") or ""))


def _answer(message: Json, finish: str, cached: int, asked: int, made: int) -> Answer:
    calls = []
    for call in message.get("tool_calls") or []:
        arguments: Any = call["function"].get("arguments")
        if not isinstance(arguments, str):
            call["function"]["arguments"] = arguments_of_object(arguments)
        calls.append(ToolCall(id=call["id"], name=call["function"]["name"]))
    return Answer(Sampled(message, None, calls, "external"), finish, cached, asked, made)
