"""The load of `gateway.py`: a client of three dialects that plays an agent with one tool, and times every turn."""

from __future__ import annotations

import json
import random
import time
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "responses": "/v1/responses"}
DIALECTS = tuple(PATHS)
WORDS = ("def", "return", "self", "import", "path", "value", "error", "test", "assert", "None", "for", "read", "write")
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}
SYSTEM = "You are a careful agent. You work on a repository with the tools that you have. " * 3


@dataclass(frozen=True)
class Target:
    """Where to send a call."""

    url: str
    key: str
    model: str

    def with_key(self, key: str) -> Target:
        """The same for another rollout."""
        return replace(self, key=key)


@dataclass(frozen=True)
class Turn:
    """One call: size of its body, and milliseconds to the first byte of the answer's body and to the last."""

    bytes: int
    first_ms: float
    last_ms: float


class Conversation:
    """A conversation in one dialect; `size` is the bytes of a tool's result, `opening` of the user's message."""

    def __init__(self, dialect: str, stream: bool, size: int, seed: str, model: str, opening: int = 400) -> None:
        self.dialect, self.stream, self.model = dialect, stream, model
        self._size = size
        self._random = random.Random(f"{dialect} {stream} {size} {seed}")
        self._said: list[Any] = [{"role": "user", "content": "Fix it. " + self._text(opening)}]

    def body(self) -> bytes:
        """The next request."""
        given: dict[str, Any] = {"model": self.model, "stream": self.stream}
        if self.dialect == "chat":
            tool = {"type": "function", "function": {"name": "bash", "description": "Run it.", "parameters": SCHEMA}}
            given |= {"messages": [{"role": "system", "content": SYSTEM}, *self._said], "tools": [tool]}
        elif self.dialect == "messages":
            tool = {"name": "bash", "description": "Run it.", "input_schema": SCHEMA}
            given |= {"system": SYSTEM, "messages": self._said, "tools": [tool], "max_tokens": 4096}
        else:
            tool = {"type": "function", "name": "bash", "description": "Run it.", "parameters": SCHEMA}
            given |= {"instructions": SYSTEM, "input": self._said, "tools": [tool]}
        return json.dumps(given, separators=(",", ":")).encode()

    def hear(self, answer: bytes) -> None:
        """Take the answer in, and answer its call."""
        whole = _joined(self.dialect, answer) if self.stream else json.loads(answer)
        result = self._text(self._size)
        if self.dialect == "chat":
            message = whole["choices"][0]["message"]
            self._said += [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": result}]
        elif self.dialect == "messages":
            called = next(block for block in whole["content"] if block["type"] == "tool_use")
            answered = {"type": "tool_result", "tool_use_id": called["id"], "content": result}
            self._said += [{"role": "assistant", "content": whole["content"]}, {"role": "user", "content": [answered]}]
        else:
            called = next(item for item in whole["output"] if item["type"] == "function_call")
            output = {"type": "function_call_output", "call_id": called["call_id"], "output": result}
            self._said += [*whole["output"], output]

    def _text(self, size: int) -> str:
        words: list[str] = []
        while size > 0:
            words.append(self._random.choice(WORDS) + str(self._random.randrange(100)))
            size -= len(words[-1]) + 1
        return " ".join(words)


def _joined(dialect: str, raw: bytes) -> dict[str, Any]:
    """A streamed answer as a whole one: its text and its one call."""
    lines = [line[6:] for line in raw.split(b"\n") if line.startswith(b"data: ") and line != b"data: [DONE]"]
    events = [json.loads(line) for line in lines]
    if dialect == "responses":
        whole: dict[str, Any] = next(e["response"] for e in events if e["type"] == "response.completed")
        return whole
    text, identity, name, arguments = "", "", "", ""
    for event in events:
        if dialect == "chat":
            delta = event["choices"][0]["delta"] if event["choices"] else {}
            text += delta.get("content") or ""
            for call in delta.get("tool_calls") or []:
                identity, name = call.get("id") or identity, call["function"].get("name") or name
                arguments += call["function"].get("arguments") or ""
        elif event["type"] == "content_block_start" and event["content_block"]["type"] == "tool_use":
            identity, name = event["content_block"]["id"], event["content_block"]["name"]
        elif event["type"] == "content_block_delta":
            text += event["delta"].get("text", "")
            arguments += event["delta"].get("partial_json", "")
    if dialect == "chat":
        call = {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}
        return {"choices": [{"message": {"role": "assistant", "content": text, "tool_calls": [call]}}]}
    used = {"type": "tool_use", "id": identity, "name": name, "input": json.loads(arguments)}
    return {"content": [{"type": "text", "text": text}, used]}


async def converse(target: Target, conversation: Conversation, turns: int) -> list[Turn]:
    """So many turns, one after the other, over one connection."""
    found = []
    headers = {"x-api-key": target.key, "Authorization": f"Bearer {target.key}", "Content-Type": "application/json"}
    url = target.url + PATHS[conversation.dialect]
    async with aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=600)) as client:
        for _ in range(turns):
            body = conversation.body()
            began = time.perf_counter()
            async with client.post(url, data=body) as response:
                first = await response.content.readany()
                heard = time.perf_counter()
                answer = first + await response.read()
            ended = time.perf_counter()
            if response.status != 200:
                raise SystemExit(f"{url} answered {response.status}: {answer[:500].decode()}")
            found.append(Turn(len(body), 1000 * (heard - began), 1000 * (ended - began)))
            conversation.hear(answer)
    return found
