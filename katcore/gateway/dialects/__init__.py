"""The APIs that agents speak, one file each: a request in, a reply out, whole or as a stream of events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from katcore.records import Json


class BadRequest(Exception):
    """A request that cannot be answered; the agent is told why, with this HTTP status and code."""

    def __init__(self, message: str, *, code: str = "invalid_request_error", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Request:
    """What an agent asks for, in one form. `asked` are its own sampling parameters."""

    messages: list[Json]
    tools: list[Json] | None
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    model: str = ""
    asked: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Reply:
    """What an agent gets. `finish_reason`: `stop`, `tool_calls` or `length`."""

    id: str
    message: Json
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0


class Dialect(Protocol):
    """One API."""

    name: str
    path: str

    def parse(self, body: bytes) -> Request:
        """A request's body. Raises BadRequest."""

    def answer(self, request: Request, reply: Reply) -> Json:
        """The reply as one object."""

    def events(self, request: Request, reply: Reply) -> Iterator[bytes]:
        """The reply as server-sent events."""

    def error(self, message: str, code: str, status: int) -> Json:
        """An error as the API's clients expect it."""
