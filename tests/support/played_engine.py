"""An engine that plays a part: it reads the prompt as a model would, and answers with the tokens of a scripted message.

In: ids. Out: ids with log-probs, through the same interface as a real engine, so that gateway, tree and agent are all
the real ones. Which message it says depends on what stands in the prompt alone and on how often it said it.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from katcore.engine import Generation, SamplingParams
from katcore.model.folder import ChatModel

TURN = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)
Message = dict[str, Any]


@dataclass(frozen=True)
class Seen:
    """A prompt as text: its turns, and the names of its tools."""

    turns: list[tuple[str, str]]
    tools: frozenset[str]

    @property
    def user(self) -> str:
        """What users and tools said."""
        return "\n".join(text for role, text in self.turns if role == "user")

    @property
    def last(self) -> str:
        """The last turn before the answer."""
        return self.turns[-2][1] if self.turns[-1][0] == "assistant" else self.turns[-1][1]


def see(text: str) -> Seen:
    """A rendered prompt of the small template."""
    turns = [(found[1], found[2]) for found in TURN.finditer(text)]
    # an agent's own prompt may speak of <tools>
    tools = re.search(r"# Tools\n\n<tools>\n(.*?)</tools>\n\nTo use a tool", text, re.DOTALL)
    names = [json.loads(line) for line in tools[1].splitlines()] if tools else []
    return Seen(turns, frozenset(tool.get("function", tool)["name"] for tool in names))


@dataclass
class PlayedEngine:
    """Says what `play` says; keeps what it was asked and what it answered."""

    chat: ChatModel
    play: Callable[[Seen, int], Message]
    name: str = "played"
    prompts: list[list[int]] = field(default_factory=list)
    answers: list[list[int]] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    async def generate(self, input_ids: list[int], params: SamplingParams) -> Generation:
        seen = see(self.chat.decode(input_ids))
        with self.lock:
            message = self.play(seen, len(self.prompts))
            ids = self.chat.encode_completion(message)
            self.prompts.append(list(input_ids))
            self.answers.append(ids)
            self.seen.append(seen)
        return Generation(ids, [-0.5] * len(ids), "stop", [(0, "w0")], len(input_ids), 0)

    async def update_weights(self, folder: str, version: str) -> None:
        raise NotImplementedError

    async def flush_cache(self) -> None:
        pass

    async def health(self) -> bool:
        return True

    async def close(self) -> None:
        pass


def call(name: str, /, **arguments: Any) -> Message:
    """An assistant message that calls one tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": function}]}


def say(text: str) -> Message:
    """An assistant message without a call."""
    return {"role": "assistant", "content": text}
