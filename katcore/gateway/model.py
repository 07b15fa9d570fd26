"""Where answers come from: an engine that samples ids, or a script that knows its messages beforehand.

In: the ids of a prompt. Out: a completion with its own ids, its message, and where its tool calls stand. Outside
endpoints, which tell no ids, are `external.py`'s.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from katcore.engine import Engine, SamplingParams, stream
from katcore.engine.scripted import Answers, Script
from katcore.engine.sglang import going_on
from katcore.gateway.constraints import grammar_of
from katcore.gateway.dialects import Request
from katcore.gateway.gate import Gate
from katcore.gateway.messages import arguments_of
from katcore.gateway.tree import Prompt, Sampled
from katcore.gateway.voice import Voice
from katcore.model.folder import ChatModel
from katcore.records import Json, Task, content_id

PARSE_S = 0.05
"""The least seconds between two parses of an unfinished completion, each of which decodes all of it."""


@dataclass(frozen=True)
class Answer:
    """A completion and why it ended: `stop`, `tool_calls` or `length`; `abort` when the engine gave it up.

    An outside endpoint may say `refusal` or `content_filter`. `prompt_tokens`, `completion_tokens`: what an endpoint
    says that tells no ids, None where it does not. `stopped_by`: the stop string in it.
    """

    sampled: Sampled
    finish_reason: str
    cached_tokens: int = 0
    prompt_tokens: int | None = 0
    completion_tokens: int | None = 0
    stopped_by: str = ""


@dataclass(frozen=True)
class AnswerPart:
    """The ids sampled since the last part, and the reasoning and text that the whole so far says for sure."""

    token_ids: list[int]
    logprobs: list[float]
    versions: list[tuple[int, str]]
    reasoning: str
    text: str


Told = Callable[[AnswerPart], None]


class Model(Protocol):
    """Answers prompts of one session; raises EngineError."""

    @property
    def name(self) -> str:
        """The model's name in the trajectory."""

    @property
    def chat(self) -> ChatModel | None:
        """Tokenizer and template; None for an endpoint that tells no tokens."""

    async def answer(
        self, prompt: Prompt, request: Request, params: SamplingParams, turn: int, seed: str, gate: Gate, told: Told
    ) -> Answer:
        """The completion of a prompt; `turn` counts the rollout's calls, `seed` makes the ids of tool calls unique.

        `told` is called with each part of it while it grows, where the engine streams.
        """


@dataclass(frozen=True)
class TokenModel:
    """An engine that speaks tokens. `name` goes into records: no path of this machine."""

    engine: Engine
    chat: ChatModel
    name: str

    def constrain(self, request: Request, voice: Voice | None = None) -> str | None:
        """The grammar that makes the model comply with what a request demands, if anything. Raises BadRequest."""
        return grammar_of(self.chat if voice is None else voice.chat, request)

    async def answer(
        self, prompt: Prompt, request: Request, params: SamplingParams, turn: int, seed: str, gate: Gate, told: Told
    ) -> Answer:
        thinks = self.chat.decode(prompt.opening).rstrip().endswith("<think>")
        growing = _Growing(self.chat, thinks, told, request.stop, one_call=request.parallel is False)
        while True:
            pauses, left = gate.pauses, params
            ids: list[int] = prompt.ids
            if growing.ids:
                ids = ids + growing.ids
                left = going_on(params, len(growing.ids))
            async for part in stream(self.engine, ids, left):
                growing.finish_reason = part.finish_reason
                growing.add(part.token_ids, part.logprobs, part.versions)
                growing.cached_tokens = growing.cached_tokens or part.cached_tokens
                if growing.cut:
                    break
            if growing.finish_reason != "abort" or gate.pauses == pauses:
                break
            await gate.opened()  # the engine dropped it to change its weights: go on behind what there is
            if len(growing.ids) >= params.max_new_tokens:
                growing.finish_reason = "length"
                break
        parsed = self.chat.parse_completion(growing.ids, seed, thinks, request.tools)
        message, calls = parsed.message, parsed.tool_calls
        if growing.stopped_by:
            message = self.chat.parse_completion(growing.before, seed, thinks, request.tools).message
            calls = calls[: len(message.get("tool_calls") or [])]
        sampled = Sampled(message, growing.ids, calls, "engine", growing.logprobs, growing.versions)
        return Answer(sampled, growing.finish_reason, growing.cached_tokens, stopped_by=growing.stopped_by)


class _Growing:
    """A completion in the making, over one or several generations. It ends with the token that completes a stop string,
    and where it may hold but `one_call`, with that call as soon as another begins.

    `before` is the text up to the string. What an engine has sampled behind it by then is dropped: it has been `cut`.
    """

    def __init__(
        self, chat: ChatModel, thinks: bool, told: Told, stop: Sequence[str] = (), one_call: bool = False
    ) -> None:
        self.ids: list[int] = []
        self.logprobs: list[float] = []
        self.versions: list[tuple[int, str]] = []
        self.finish_reason = ""
        self.cached_tokens = 0
        self.stopped_by, self.before, self.cut = "", "", False
        self._one_call = one_call
        self._chat, self._thinks, self._told, self._stop = chat, thinks, told, stop
        self._sent, self._at = 0, 0.0

    def add(self, ids: Sequence[int], logprobs: Sequence[float], versions: Sequence[tuple[int, str]]) -> None:
        start = len(self.ids)
        for offset, version in versions:
            if not self.versions or self.versions[-1][1] != version:
                self.versions.append((start + offset, version))
        self.ids += ids
        self.logprobs += logprobs
        self._look_for_stops()
        now, ended = time.monotonic(), self.finish_reason in ("stop", "length")
        if not ended and (now - self._at < PARSE_S or not ids):
            return
        if self._one_call and not self.cut:
            self._look_for_calls()
        if ended or self.cut:
            return  # the whole comes next, and is journalled once
        self._at = now
        reasoning, text = self._chat.settled(self.ids, self._thinks)
        new = [(at - self._sent, version) for at, version in self.versions if at >= self._sent]
        self._told(AnswerPart(self.ids[self._sent :], self.logprobs[self._sent :], new, reasoning, text))
        self._sent = len(self.ids)

    def _look_for_stops(self) -> None:
        text = self._chat.decode(self.ids) if self._stop else ""
        found = min(((text.find(each), each) for each in self._stop if each in text), default=None)
        if found is None:
            return
        at, self.stopped_by = found
        self.before = text[:at]
        _, size = self._chat.tokenizer.span(self.ids, at, at + len(self.stopped_by))
        self._end_at(size)

    def _look_for_calls(self) -> None:
        size = self._chat.up_to_second_call(self.ids, self._thinks)
        if size is not None:
            self._end_at(size)

    def _end_at(self, size: int) -> None:
        self.finish_reason, self.cut = "stop", True
        del self.ids[size:], self.logprobs[size:]
        self.versions = [(start, version) for start, version in self.versions if start < size]


@dataclass(frozen=True)
class ScriptedModel:
    """A script's messages for one attempt, tokenised as if they had been sampled: no log-probs, no version."""

    script: Script
    chat: ChatModel
    task: Task
    sample: int

    @cached_property
    def _answers(self) -> Answers:
        return Answers(self.script, self.task, self.sample)

    @property
    def name(self) -> str:
        return self.script.name

    async def answer(
        self, prompt: Prompt, request: Request, params: SamplingParams, turn: int, seed: str, gate: Gate, told: Told
    ) -> Answer:
        wanted = self._answers.next(turn, prompt.lineage, with_tools=bool(request.tools))
        return Answer(written(self.chat, wanted, request, seed), "stop")


def written(chat: ChatModel | None, wanted: Json, request: Request, seed: str) -> Sampled:
    """A message that no engine sampled, as if one had: its ids, its calls with ids of their own. TemplateError."""
    if chat is None:
        return Sampled(_openai(wanted, seed), None, [], "scripted")
    ids = chat.encode_completion(wanted, request.messages)
    parsed = chat.parse_completion(ids, seed, tools=request.tools)
    message, calls = parsed.message, parsed.tool_calls
    if _calls(message) != _calls(wanted):  # its text holds the markers of a call: it cannot be read back
        message, calls = _openai(wanted, seed), []
    return Sampled(message, ids, calls, "scripted")


def _openai(message: Json, seed: str) -> Json:
    """A script's message as an API gives it: calls with ids, arguments as text."""
    calls = []
    for index, call in enumerate(message.get("tool_calls") or []):
        name, arguments = call["function"]["name"], call["function"].get("arguments") or "{}"
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        identity = "call_" + content_id(seed, str(index), text)
        calls.append({"id": identity, "type": "function", "function": {"name": name, "arguments": text}})
    plain: Json = {"role": "assistant", "content": message.get("content")}
    return {**plain, "tool_calls": calls} if calls else plain


def _calls(message: Json) -> list[tuple[str, str]]:
    functions = [call.get("function") or {} for call in message.get("tool_calls") or []]
    return [(function.get("name", ""), arguments_of(function.get("arguments") or {})) for function in functions]
