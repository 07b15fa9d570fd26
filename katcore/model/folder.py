"""A model folder's tokenizer and chat template as one thing: messages to ids, ids to messages.

In: a folder with `tokenizer.json` and a chat template, or None for the small one shipped with KAT. Out: a ChatModel.
It never opens the weights.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from katcore.model.calls import CallForm, form_of
from katcore.model.completion import TextCall, first_call_end, parse_text, settled
from katcore.model.files import read_json
from katcore.model.messages import Message, Tool
from katcore.model.template import ChatTemplate, NotAnExtension, TemplateError, load_template
from katcore.model.tokenizer import SMALL, Tokenizer, load_tokenizer
from katcore.model.turn import Turn, read_turn
from katcore.records import ToolCall

_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_PROBE: Message = {"role": "user", "content": "?"}
_CALL = {"id": "0", "type": "function", "function": {"name": "f", "arguments": "{}"}}
_RESULT: Message = {"role": "tool", "tool_call_id": "0", "name": "f", "content": "?"}


@dataclass(frozen=True)
class Completion:
    """A completion as an OpenAI assistant message; `tool_calls` carry token spans and, when malformed, that outcome.

    `stopped`: the completion ended with a stop token (it was not cut off).
    """

    message: Message
    tool_calls: list[ToolCall]
    stopped: bool


@dataclass(frozen=True)
class ChatModel:
    """Tokenizer and chat template of one model."""

    folder: Path
    tokenizer: Tokenizer
    template: ChatTemplate

    def with_variables(self, variables: dict[str, Any]) -> ChatModel:
        """The same model, whose template renders with these variables too."""
        return replace(self, template=self.template.given(variables))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of tokenizer and chat template: the `tokenizer` field of trajectories and packs."""
        templates = json.dumps(self.template.sources, sort_keys=True).encode()
        return hashlib.sha256(self.tokenizer.state() + b"\n" + templates).hexdigest()

    @cached_property
    def vocabulary(self) -> int:
        """How many tokens the model has: by its config, which may leave room behind the tokenizer's."""
        config = read_json(self.folder / "config.json")
        inner = config.get("text_config")
        size = (inner if isinstance(inner, dict) else config).get("vocab_size")
        return size if isinstance(size, int) else len(self.tokenizer)

    @property
    def stop_ids(self) -> tuple[int, ...]:
        """Ids that end a completion: give them to the engine as `stop_token_ids`."""
        return tuple(dict.fromkeys((self.turn_end, *self.tokenizer.stop_ids)))

    @cached_property
    def turn_end(self) -> int:
        """The id that ends an assistant's turn: what the template writes there, else what opens the user's message."""
        return self._written_end if self._written_end is not None else self.end_of({"content": "?"})

    @property
    def writes_turn_end(self) -> bool:
        """Whether the template ends an assistant's turn itself; in GLM's the next message's opening ends it."""
        return self._written_end is not None

    def end_of(self, message: Message) -> int:
        """The id that ends this assistant's message. TemplateError when the folder names no stop token."""
        if self._written_end is not None:
            return self._written_end
        stops = self.tokenizer.stop_ids
        if not stops:
            raise TemplateError("the chat template ends an assistant's turn with none of the stop tokens")
        following = self._following["tool" if message.get("tool_calls") else "user"]
        if following in stops:
            return following
        eos = self.tokenizer.id(self.tokenizer.special.get("eos_token", ""))
        return eos if eos in stops and eos is not None else stops[0]

    @cached_property
    def call_form(self) -> CallForm:
        """The form in which this model writes tool calls, as its template shows it."""
        return form_of(self.template.sources.values())

    @cached_property
    def turn(self) -> Turn:
        """How the template writes an assistant's turn: what stands around its thinking, its text and its calls."""
        return read_turn(self._said, self.call_form, self._opening.rstrip().endswith("<think>"))

    def _said(self, message: Message) -> str | None:
        """The text that the model would have sampled to say `message`, without its end; None where there is none."""
        try:
            text = self._completion_text(message, [_PROBE])
        except TemplateError:
            return None
        return next((text.removesuffix(end) for end in self._stop_texts if text.endswith(end)), text)

    @property
    def _opening(self) -> str:
        """What ends a prompt: the opening of the assistant's turn."""
        asked = self.render([_PROBE])
        return self.render([_PROBE], add_generation_prompt=True).removeprefix(asked)

    @cached_property
    def _written_end(self) -> int | None:
        ids = self.tokenizer.encode(self._completion_text({"role": "assistant", "content": "?"}, [_PROBE]))
        return next((token for token in ids if token in self.tokenizer.stop_ids), None)

    @cached_property
    def _following(self) -> dict[str, int]:
        """The first id of a message that follows an assistant's, by its role; -1 where the template has none."""
        said: Message = {"role": "assistant", "content": "?"}
        pairs = {"user": (said, _PROBE), "tool": ({**said, "tool_calls": [_CALL]}, _RESULT)}
        found = {}
        for role, (answer, following) in pairs.items():
            try:
                old, new = self.render([_PROBE, answer]), self.render([_PROBE, answer, following])
            except TemplateError:  # no tools in this template
                old, new = "", ""
            ids = self.encode(new[len(old) :]) if new.startswith(old) else []
            found[role] = ids[0] if ids else -1
        return found

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without a beginning-of-sequence or any other added token."""
        return self.tokenizer.encode(text)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of `ids`, special tokens included."""
        return self.tokenizer.decode(ids)

    def render(
        self, messages: Sequence[Message], tools: Sequence[Tool] | None = None, add_generation_prompt: bool = False
    ) -> str:
        """The conversation as text, as the chat template renders it; TemplateError when it refuses."""
        return self.template.render(messages, tools, add_generation_prompt)

    def encode_prompt(self, messages: Sequence[Message], tools: Sequence[Tool] | None = None) -> list[int]:
        """Ids of the conversation up to and with the opening of the assistant's turn."""
        return self.encode(self.render(messages, tools, add_generation_prompt=True))

    def encode_completion(self, message: Message, before: Sequence[Message] = ()) -> list[int]:
        """The ids that the model would have sampled to say `message`: its text, its calls and the end of the turn."""
        ids = self.encode(self._completion_text(message, list(before) or [_PROBE]))
        return ids if self.writes_turn_end else [*ids, self.end_of(message)]

    def render_delta(
        self,
        before: Sequence[Message],
        new: Sequence[Message],
        tools: Sequence[Tool] | None = None,
        *,
        closed: bool = True,
        add_generation_prompt: bool = True,
    ) -> list[int]:
        """Ids of what `new` adds to a conversation whose ids are already known.

        When `before` ends with an assistant message, its ids are taken to end with the sampled end of the turn, so the
        template's own rest of that turn (a newline, mostly) comes first; `closed=False`: the completion was cut off,
        and the end of the turn comes first too. NotAnExtension when the template rewrites its past.
        """
        old = self.render(before, tools)
        text = self.render([*before, *new], tools, add_generation_prompt)
        if not text.startswith(old):
            raise NotAnExtension("the chat template does not extend this conversation: it rewrites earlier turns")
        if self.writes_turn_end:
            return self.encode(text[len(old) - len(self._rest(before, old, closed)) :])
        ids = self.encode(text[len(old) :])
        said = bool(before) and before[-1].get("role") == "assistant"
        # The opening of the next message was the stop token of this one.
        return ids[1:] if said and closed and ids and ids[0] == self.end_of(before[-1]) else ids

    def settled(self, ids: Sequence[int], think: bool = False) -> tuple[str, str]:
        """Reasoning and content of an unfinished completion, as far as they are sure: see `completion.settled`."""
        return settled(self.decode([token for token in ids if token not in self.stop_ids]), think, self.call_form)

    def up_to_second_call(self, ids: Sequence[int], think: bool = False) -> int | None:
        """How many of a completion's ids reach the end of its first call, once a second one has begun; else None."""
        end = first_call_end(self.decode(ids), think, self.call_form)
        return None if end is None else self.tokenizer.span(ids, 0, end)[1]

    def parse_completion(
        self,
        completion: Sequence[int] | str,
        call_seed: str = "",
        think: bool = False,
        tools: Sequence[Tool] | None = None,
    ) -> Completion:
        """The assistant message in sampled ids, or in their text (then calls have no spans).

        Malformed calls keep their raw text as arguments and get the outcome `invalid_arguments`; nothing raises.
        """
        if isinstance(completion, str):
            text, stopped = completion, False
            for end in self._stop_texts:
                text, stopped = text.removesuffix(end), stopped or text.endswith(end)
            message, calls = parse_text(text, call_seed, think, self.call_form, tools)
            return Completion(message, [_tool_call(call, None) for call in calls], stopped)
        stopped = bool(completion) and completion[-1] in self.stop_ids
        ids = list(completion[:-1] if stopped else completion)
        message, calls = parse_text(self.decode(ids), call_seed, think, self.call_form, tools)
        spans = [self.tokenizer.span(ids, call.start, call.end) for call in calls]
        return Completion(message, [_tool_call(call, span) for call, span in zip(calls, spans)], stopped)

    def save(self, folder: Path) -> None:
        """Copy tokenizer and template, byte for byte, into another model folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            if (self.folder / name).is_file() and self.folder.resolve() != folder.resolve():
                shutil.copyfile(self.folder / name, folder / name)

    @cached_property
    def _stop_texts(self) -> tuple[str, ...]:
        return tuple(self.decode([token]) for token in self.stop_ids)

    def _completion_text(self, message: Message, before: Sequence[Message]) -> str:
        prompt = self.render(before, None, add_generation_prompt=True)
        text = self.render([*before, message])
        if not text.startswith(prompt):
            raise NotAnExtension("the chat template does not extend its own generation prompt")
        return text[len(prompt) :].rstrip()

    def _rest(self, before: Sequence[Message], old: str, closed: bool) -> str:
        """The end of `old` that the known ids do not have yet."""
        if not before or before[-1].get("role") != "assistant":
            return ""
        end = self.decode([self.turn_end])
        _, found, rest = old.rpartition(end)
        if not found:
            raise NotAnExtension("the chat template leaves the last assistant turn open")
        return rest if closed else end + rest


def _tool_call(call: TextCall, span: tuple[int, int] | None) -> ToolCall:
    if call.valid:
        return ToolCall(id=call.id, name=call.name, span=span)
    return ToolCall(id=call.id, name=call.name, span=span, outcome="invalid_arguments", outcome_by="parser")


def load(folder: Path | None = None) -> ChatModel:
    """The tokenizer and chat template in `folder`, or the small ones shipped with KAT."""
    home = SMALL if folder is None else folder
    tokenizer = load_tokenizer(home)
    return ChatModel(home, tokenizer, load_template(home, tokenizer.special))
