"""Where answers come from: an engine that samples ids, or a script that knows its messages beforehand.

In: the ids of a prompt. Out: a completion with its own ids, its message, and where its tool calls stand.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Protocol

from katcore.engine import Engine, SamplingParams
from katcore.engine.scripted import Script, answer
from katcore.gateway.messages import arguments_of
from katcore.gateway.tree import Prompt, Sampled
from katcore.model.folder import ChatModel
from katcore.records import Json, Task, content_id


@dataclass(frozen=True)
class Answer:
    """A completion and why it ended: `stop` or `length`; `abort` when the engine gave it up."""

    sampled: Sampled
    finish_reason: str
    cached_tokens: int = 0


class Model(Protocol):
    """Answers prompts; raises EngineError."""

    @property
    def name(self) -> str:
        """What the trajectory's `model` says."""

    @property
    def chat(self) -> ChatModel:
        """Tokenizer and template."""

    async def answer(
        self, prompt: Prompt, messages: list[Json], params: SamplingParams, turn: int, seed: str
    ) -> Answer:
        """The completion of a prompt; `turn` counts the rollout's calls, `seed` makes the ids of tool calls unique."""


@dataclass(frozen=True)
class TokenModel:
    """An engine that speaks tokens. `name` goes into records: no path of this machine."""

    engine: Engine
    chat: ChatModel
    name: str

    async def answer(
        self, prompt: Prompt, messages: list[Json], params: SamplingParams, turn: int, seed: str
    ) -> Answer:
        made = await self.engine.generate(prompt.ids, params)
        thinks = self.chat.decode(prompt.opening).rstrip().endswith("<think>")
        parsed = self.chat.parse_completion(made.token_ids, seed, thinks)
        sampled = Sampled(
            parsed.message, made.token_ids, parsed.tool_calls, "engine", made.logprobs, list(made.versions)
        )
        return Answer(sampled, made.finish_reason, made.cached_tokens)


@dataclass(frozen=True)
class ScriptedModel:
    """A script's messages for one attempt, tokenised as if they had been sampled: no log-probs, no version."""

    script: Script
    chat: ChatModel
    task: Task
    sample: int

    @property
    def name(self) -> str:
        return self.script.name

    async def answer(
        self, prompt: Prompt, messages: list[Json], params: SamplingParams, turn: int, seed: str
    ) -> Answer:
        wanted = answer(self.script, self.task, self.sample, turn)
        ids = self.chat.encode_completion(wanted, messages)
        parsed = self.chat.parse_completion(ids, seed)
        message, calls = parsed.message, parsed.tool_calls
        if _calls(message) != _calls(wanted):  # its text holds the markers of a call: it cannot be read back
            message, calls = _openai(wanted, seed), []
        return Answer(Sampled(message, ids, calls, "scripted"), "stop")


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
