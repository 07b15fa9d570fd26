"""The official SDKs as agents: one interface over four APIs, each with the history that its own API keeps."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import anthropic
import httpx2
import openai
from google import genai
from google.genai import errors

REFUSED = (openai.BadRequestError, anthropic.BadRequestError, errors.ClientError)
CONFLICT = (openai.ConflictError, anthropic.ConflictError, errors.ClientError)
OUT_OF_TIME = (openai.APITimeoutError, anthropic.APITimeoutError, httpx2.TimeoutException)
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}


@dataclass
class Said:
    """What the SDK made of an answer. `item` is what its user would put into the history."""

    text: str
    calls: list[tuple[str, str, dict[str, Any]]]
    stop: str
    tokens: tuple[int, int]
    items: list[dict[str, Any]] = field(default_factory=list)
    thinking: str = ""


class Agent(Protocol):
    """An agent's side of one conversation."""

    name: str
    history: list[dict[str, Any]]
    system: str
    tools: bool

    def user(self, text: str) -> None: ...
    def results(self, pairs: Sequence[tuple[str, str]]) -> None: ...
    def ask(self, **options: Any) -> Said: ...
    def abort(self) -> None: ...
    def without_thinking(self) -> None: ...
    def change_last(self, text: str) -> None: ...


class Base:
    """`STOPS`: what ended an answer, as all four are told here: stop, tool_calls, length.

    `marks_retries`: the SDK says of a request that it is a retry.
    """

    STOPS: dict[str, str] = {}
    marks_retries = True
    client: Any

    def __init__(self, url: str, key: str, *, stream: bool, system: str = "You are an agent.", **client: Any) -> None:
        self.url, self.key, self.stream, self.system = url, key, stream, system
        self.history: list[dict[str, Any]] = []
        self.tools = True
        self.headers: dict[str, str] = {}
        self.client_options = client

    def other(self, system: str, *, tools: bool, history: Sequence[dict[str, Any]] = ()) -> Any:
        """Another conversation of the same agent."""
        made = copy.copy(self)
        made.system, made.headers = system, {}
        made.tools, made.history = tools, copy.deepcopy(list(history))
        return made

    def user(self, text: str) -> None:
        self.history.append({"role": "user", "content": text})

    def ask(self, **options: Any) -> Said:
        said: Said = self._ask(**options)  # type: ignore[attr-defined]
        self.history += said.items
        return said


def _plain(sdk: Any) -> dict[str, Any]:
    """An SDK's own HTTP client, spared from reading certificates: there is no TLS here."""
    return {"http_client": sdk.DefaultHttpxClient(verify=False)}


class Chat(Base):
    name = "openai-chat"

    @cached_property
    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.key, **self.client_options, **_plain(openai))

    def _arguments(self) -> dict[str, Any]:
        function = {"name": "bash", "description": "Run it.", "parameters": SCHEMA}
        given: dict[str, Any] = {"model": "m", "extra_headers": self.headers}
        given["messages"] = [{"role": "system", "content": self.system}, *self.history]
        return {**given, "tools": [{"type": "function", "function": function}]} if self.tools else given

    def _ask(self, **options: Any) -> Said:
        if self.stream:
            with self.client.chat.completions.stream(
                **self._arguments(), stream_options={"include_usage": True}, **options
            ) as events:
                made: Any = _completed(events)
        else:
            made = self.client.chat.completions.create(**self._arguments(), **options)
        choice = made.choices[0]
        message = choice.message
        calls = [(c.id, c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or []]
        plain = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": json.dumps(a)}} for i, n, a in calls
        ]
        item: dict[str, Any] = {"role": "assistant", "content": message.content or None}
        item |= {"tool_calls": plain} if plain else {}
        thinking = getattr(message, "reasoning_content", None) or ""
        item |= {"reasoning_content": thinking} if thinking else {}
        usage = (made.usage.prompt_tokens, made.usage.completion_tokens)
        return Said(message.content or "", calls, choice.finish_reason, usage, [item], thinking)

    def results(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.history += [{"role": "tool", "tool_call_id": i, "content": text} for i, text in pairs]

    def abort(self) -> None:
        stream = self.client.chat.completions.create(**self._arguments(), stream=True)
        next(iter(stream))
        stream.close()

    def without_thinking(self) -> None:
        for message in self.history:
            message.pop("reasoning_content", None)

    def change_last(self, text: str) -> None:
        self.history[-1]["content"] = text


def _completed(events: Any) -> Any:
    """The SDK's helper raises on an answer that was cut off, and hands it over in the error."""
    try:
        return events.get_final_completion()
    except openai.LengthFinishReasonError as cut:
        return cut.completion


class Messages(Base):
    name = "anthropic"
    STOPS = {"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length"}

    @cached_property
    def client(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, api_key=self.key, **self.client_options, **_plain(anthropic))

    def _arguments(self) -> dict[str, Any]:
        """As Claude Code does: a header that changes with every request, and a cache mark that moves."""
        head = {"type": "text", "text": f"x-anthropic-billing-header: cch={len(self.history)};"}
        system = {"type": "text", "text": self.system, "cache_control": {"type": "ephemeral"}}
        messages = copy.deepcopy(self.history)
        last = messages[-1]["content"]
        blocks = [{"type": "text", "text": last}] if isinstance(last, str) else last
        blocks[-1]["cache_control"] = {"type": "ephemeral"}
        messages[-1]["content"] = blocks
        given: dict[str, Any] = {"model": "m", "max_tokens": 4096, "messages": messages, "system": [head, system]}
        given["extra_headers"] = self.headers
        tool = {"name": "bash", "description": "Run it.", "input_schema": SCHEMA}
        return {**given, "tools": [tool]} if self.tools else given

    def _ask(self, **options: Any) -> Said:
        arguments = {**self._arguments(), **options}
        if self.stream:
            with self.client.messages.stream(**arguments) as events:
                made: Any = events.get_final_message()
        else:
            made = self.client.messages.create(**arguments)
        blocks = [block.model_dump(exclude_none=True) for block in made.content]
        for block in blocks:
            block.pop("parsed_output", None)
        text = "".join(b["text"] for b in blocks if b["type"] == "text")
        thinking = "".join(b["thinking"] for b in blocks if b["type"] == "thinking")
        calls = [(b["id"], b["name"], b["input"]) for b in blocks if b["type"] == "tool_use"]
        usage = made.usage
        tokens = (usage.input_tokens + (usage.cache_read_input_tokens or 0), usage.output_tokens)
        item = {"role": "assistant", "content": blocks}
        return Said(text, calls, self.STOPS[made.stop_reason], tokens, [item], thinking)

    def results(self, pairs: Sequence[tuple[str, str]]) -> None:
        blocks = [{"type": "tool_result", "tool_use_id": i, "content": text} for i, text in pairs]
        self.history.append({"role": "user", "content": blocks})

    def abort(self) -> None:
        stream = self.client.messages.create(**self._arguments(), stream=True)
        next(iter(stream))
        stream.close()

    def without_thinking(self) -> None:
        for message in self.history:
            if isinstance(message["content"], list):
                message["content"] = [b for b in message["content"] if b["type"] != "thinking"]

    def change_last(self, text: str) -> None:
        self.history[-1]["content"] = [{"type": "text", "text": text}]


class Responses(Base):
    name = "openai-responses"

    @cached_property
    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.key, **self.client_options, **_plain(openai))

    def _arguments(self) -> dict[str, Any]:
        given: dict[str, Any] = {"model": "m", "instructions": self.system, "input": self.history, "store": False}
        given["extra_headers"] = self.headers
        tool = {"type": "function", "name": "bash", "description": "Run it.", "parameters": SCHEMA, "strict": False}
        return {**given, "tools": [tool]} if self.tools else given

    def _ask(self, **options: Any) -> Said:
        if "max_tokens" in options:
            options["max_output_tokens"] = options.pop("max_tokens")
        if self.stream:
            with self.client.responses.stream(**self._arguments(), **options) as events:
                # The helper knows only answers that were not cut off: the last event has the response either way.
                ends = [event for event in events if event.type in ("response.completed", "response.incomplete")]
            made: Any = ends[-1].response
            if made.status == "completed":
                made = events.get_final_response()
        else:
            made = self.client.responses.create(**self._arguments(), **options)
        items = [item.model_dump(exclude_none=True) for item in made.output]
        for item in items:
            item.pop("parsed_arguments", None)
            for part in item.get("content") or []:
                part.pop("parsed", None)
        calls = [(i["call_id"], i["name"], json.loads(i["arguments"])) for i in items if i["type"] == "function_call"]
        thinking = "".join(p["text"] for i in items if i["type"] == "reasoning" for p in i["content"])
        stop = "length" if made.status == "incomplete" else "tool_calls" if calls else "stop"
        usage = (made.usage.input_tokens, made.usage.output_tokens)
        return Said(made.output_text, calls, stop, usage, items, thinking)

    def results(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.history += [{"type": "function_call_output", "call_id": i, "output": text} for i, text in pairs]

    def abort(self) -> None:
        stream = self.client.responses.create(**self._arguments(), stream=True)
        next(iter(stream))
        stream.close()

    def without_thinking(self) -> None:
        self.history = [item for item in self.history if item.get("type") != "reasoning"]

    def change_last(self, text: str) -> None:
        self.history[-1] = {"role": "assistant", "content": text}


class GenerateContent(Base):
    name = "gemini"
    STOPS = {"STOP": "stop", "MAX_TOKENS": "length"}
    marks_retries = False

    @cached_property
    def client(self) -> genai.Client:
        given = self.client_options
        retries = {"attempts": given.get("max_retries", 0) + 1, "initial_delay": 0.01}
        options: Any = {"base_url": self.url, "retry_options": retries, "client_args": {"verify": False}}
        if "timeout" in given:
            options["timeout"] = int(1000 * given["timeout"])
        return genai.Client(api_key=self.key, http_options=options)

    def user(self, text: str) -> None:
        self.history.append({"role": "user", "parts": [{"text": text}]})

    def _arguments(self, max_tokens: int | None = None, **more: Any) -> dict[str, Any]:
        config: dict[str, Any] = {"system_instruction": self.system, "http_options": {"headers": self.headers}}
        config |= {"max_output_tokens": max_tokens} if max_tokens else {}
        tool = {"name": "bash", "description": "Run it.", "parameters_json_schema": SCHEMA}
        config |= {"tools": [{"function_declarations": [tool]}]} if self.tools else {}
        return {"model": "m", "contents": self.history, "config": config | more}

    def _ask(self, **options: Any) -> Said:
        """The history gets the content of each chunk, as the SDK's own chats keep it."""
        models: Any = self.client.models
        ask = models.generate_content_stream if self.stream else models.generate_content
        made = ask(**self._arguments(**options))
        chunks = list(made) if self.stream else [made]
        items = [chunk.candidates[0].content.model_dump(exclude_none=True) for chunk in chunks]
        parts = [part for item in items for part in item["parts"]]
        text = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
        thinking = "".join(part["text"] for part in parts if part.get("thought"))
        given = [part["function_call"] for part in parts if "function_call" in part]
        calls = [(call["id"], call["name"], call["args"]) for call in given]
        stop = "tool_calls" if calls else self.STOPS[chunks[-1].candidates[0].finish_reason.value]
        usage = chunks[-1].usage_metadata
        return Said(text, calls, stop, (usage.prompt_token_count, usage.candidates_token_count), items, thinking)

    def results(self, pairs: Sequence[tuple[str, str]]) -> None:
        given = [{"id": i, "name": "bash", "response": {"output": text}} for i, text in pairs]
        self.history.append({"role": "user", "parts": [{"function_response": each} for each in given]})

    def abort(self) -> None:
        stream = self.client.models.generate_content_stream(**self._arguments())
        next(iter(stream))
        stream.close()  # type: ignore[attr-defined]

    def without_thinking(self) -> None:
        for content in self.history:
            content["parts"] = [part for part in content["parts"] if not part.get("thought")]
        self.history = [content for content in self.history if content["parts"]]

    def change_last(self, text: str) -> None:
        while self.history[-1]["role"] == "model":
            self.history.pop()
        self.history.append({"role": "model", "parts": [{"text": text}]})


AGENTS = (Messages, Chat, Responses, GenerateContent)
