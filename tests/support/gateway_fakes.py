"""A deterministic engine, and a client that speaks HTTP over the gateway's socket as an agent would."""

from __future__ import annotations

import asyncio
import http.client
import json
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from katcore.engine import Generation, SamplingParams
from katcore.errors import EngineError
from katcore.gateway.model import Model, TokenModel
from katcore.gateway.server import Gateway
from katcore.gateway.session import Caps, Session
from katcore.model.folder import ChatModel, load


class FakeEngine:
    """Says what `say` gives for the number of the call, token by token; remembers what it saw."""

    name = "fake"

    def __init__(self, say: Callable[[int], str], *, chat: ChatModel | None = None, stop: bool = True) -> None:
        self.chat = chat or load()
        self.say = say
        self.stop = stop
        self.seen: list[tuple[list[int], list[int]]] = []
        self.params: list[SamplingParams] = []
        self.delay = 0.0
        self.fail = 0

    async def generate(self, input_ids: list[int], params: SamplingParams) -> Generation:
        number = len(self.params)
        self.params.append(params)
        await asyncio.sleep(self.delay)
        if self.fail:
            self.fail -= 1
            raise EngineError("the engine is away")
        ids = self.chat.encode(self.say(number)) + ([self.chat.turn_end] if self.stop else [])
        reason = "stop" if self.stop and len(ids) <= params.max_new_tokens else "length"
        ids = ids[: params.max_new_tokens]
        self.seen.append((list(input_ids), ids))
        logprobs = [-random.Random(token).random() for token in ids]
        return Generation(ids, logprobs, reason, [(0, "7")], len(input_ids), 3)

    async def update_weights(self, folder: str, version: str) -> None: ...
    async def flush_cache(self) -> None: ...
    async def health(self) -> bool:
        return True

    async def close(self) -> None: ...


CAPS = Caps(calls=200, tokens=1_000_000, seconds=3600.0, context=1 << 20, completion=4096)
"""Limits that no short conversation comes near."""


def opened(gateway: Gateway, answers: FakeEngine | Model, name: str = "r", **more: Any) -> Session:
    """A session at a gateway whose answers come from there, with settings that are in nobody's way unless said."""
    model = TokenModel(answers, answers.chat, "fake") if isinstance(answers, FakeEngine) else answers
    settings: dict[str, Any] = {"caps": CAPS, "sampling": SamplingParams(), "history": "sampled"}
    return gateway.open(name, model, **settings | more)


class StreamingFake(FakeEngine):
    """Hands its completion out three tokens at a time."""

    step_s = 0.0

    async def stream(self, input_ids: list[int], params: SamplingParams) -> AsyncIterator[Generation]:
        made = await self.generate(input_ids, params)
        for start in range(0, len(made.token_ids), 3):
            part = made.token_ids[start : start + 3]
            reason = made.finish_reason if start + 3 >= len(made.token_ids) else ""
            yield Generation(part, made.logprobs[start : start + 3], reason, [(0, "7")], len(input_ids), 3)
            await asyncio.sleep(self.step_s)


class Socket(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("gateway", timeout=60)
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self.path)


def post(
    session: Session, body: dict[str, Any] | bytes, *, key: str | None = None, path: str = "", **headers: str
) -> tuple[int, Any]:
    """Status and body (parsed, or bytes of a stream) of one chat request."""
    connection = Socket(path or str(session.socket))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"Authorization": f"Bearer {key or session.key}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    connection.request("POST", "/v1/chat/completions", data, sent)
    response = connection.getresponse()
    raw = response.read()
    streamed = response.headers.get_content_type() == "text/event-stream"
    connection.close()
    return response.status, raw if streamed else json.loads(raw)


def say(session: Session, messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """The assistant's message."""
    status, answer = post(session, {"model": "m", "messages": messages, **more})
    assert status == 200, answer
    message: dict[str, Any] = answer["choices"][0]["message"]
    return message


def sse(raw: bytes) -> Iterator[str]:
    """The data of server-sent events, by the grammar of the HTML standard (comments, several data lines, one space)."""
    data: list[str] = []
    for line in raw.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line == "":
            if data:
                yield "\n".join(data)
            data = []
        elif not line.startswith(":"):
            field, _, value = line.partition(":")
            if field == "data":
                data.append(value.removeprefix(" "))


def bash_call(command: str) -> str:
    """A tool call as the model writes it."""
    return f'<tool_call>\n{{"name": "bash", "arguments": {json.dumps({"command": command})}}}\n</tool_call>'
