"""The APIs that agents speak, one file each: a request in, a reply out, whole or as a stream of events.

Between them lies one normalised form, the OpenAI message: role, `content`, `reasoning_content`, `tool_calls` with their
arguments as text, `tool_call_id`. What a dialect writes of a message it reads back to the same message, so that the
next request finds the tokens of the last one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from katcore.gateway.memo import Memo
from katcore.records import Json

T = TypeVar("T")
PIECE = 4096
"""Longest piece of text in one event, in characters."""
ANY = "*"
"""The value of `Request.forced` when the agent must call some tool, no matter which."""
RAW = "__raw_arguments__"
"""The key under which a call's text stands when a client wants an object and the model wrote something else."""


class BadRequest(Exception):
    """A request that cannot be answered; the agent is told why, with this HTTP status and code."""

    def __init__(self, message: str, *, code: str = "invalid_request_error", status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


@dataclass(frozen=True)
class Schema:
    """A JSON Schema that an answer's text must follow, and the `field` in which the agent wrote it.

    `name` and `strict` are of no use here: outside endpoints are told.
    """

    schema: Json
    field: str
    name: str = ""
    strict: bool = True


@dataclass(frozen=True)
class Request:
    """What an agent asks for, in one form. `asked` are its own sampling parameters.

    `agent` tells its conversations apart where it says so itself (a sub-agent's id in a header).
    `forced` is the tool that must be called, ANY when it may be any; `stop` are strings that end the answer.
    `schema` is what its text must follow; `parallel` whether it may hold several calls; `seed` and `effort` (`low`,
    `high`, `none` and the like) are what the agent would have where its own sampling stands.
    `custom` are the tools whose calls the dialect writes as free text, `namespaces` where it keeps some of them.
    """

    messages: list[Json]
    tools: list[Json] | None
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    model: str = ""
    asked: Json = field(default_factory=dict)
    agent: str = ""
    forced: str = ""
    stop: tuple[str, ...] = ()
    custom: frozenset[str] = frozenset()
    namespaces: dict[str, str] = field(default_factory=dict)
    schema: Schema | None = None
    parallel: bool | None = None
    seed: int | None = None
    effort: str = ""


@dataclass(frozen=True)
class Reply:
    """What an agent gets. `finish_reason`: `stop`, `tool_calls` or `length`; `id` without a dialect's prefix.

    `stopped_by`: the stop string that ended it.
    """

    id: str
    message: Json
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    stopped_by: str = ""


class Stream(Protocol):
    """One reply as server-sent events. What `delta` has sent `finish` does not send again."""

    def start(self) -> bytes:
        """The events before the first word; they may go out long before the reply is there."""

    def keep_alive(self) -> bytes:
        """An event without content, which keeps a client from closing a quiet connection."""

    def delta(self, reasoning: str, text: str) -> bytes:
        """The events for further reasoning and text; text may come only once all reasoning has."""

    def finish(self, reply: Reply) -> Iterator[bytes]:
        """The events for what of the reply `delta` has not sent, and for its end."""

    def fail(self, message: str, code: str, status: int) -> bytes:
        """The event of an error that happens after the stream has begun."""


class Dialect(Protocol):
    """One API that agents speak: how its requests are read, and how replies, streams and errors are written."""

    name: str
    path: str

    def parse(self, body: bytes, memo: Memo) -> Request:
        """The request in a body; `memo` holds parts of earlier ones, which are not read again. Raises BadRequest."""

    def answer(self, request: Request, reply: Reply) -> Json:
        """The reply as the API's JSON object."""

    def stream(self, request: Request, identity: str, prompt_tokens: int) -> Stream:
        """The stream in which the reply is sent as events; `identity` is the Reply's id."""

    def error(self, message: str, code: str, status: int) -> Json:
        """An error as the JSON object that the API's clients expect."""


def read_object(body: bytes, *left: str) -> tuple[Json, dict[str, msgspec.Raw]]:
    """The JSON object in a body, and those of its members that are `left` as they came. Raises BadRequest."""
    try:
        given = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        raw = {name: given.pop(name) for name in left if name in given}
        return {name: msgspec.json.decode(value) for name, value in given.items()}, raw
    except msgspec.ValidationError:
        raise BadRequest("the body is not a JSON object") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from None


def read_part(raw: msgspec.Raw | None, memo: Memo, how: Callable[[Any], T], missing: T) -> T:
    """What `how` makes of a member that was left as raw JSON; `missing` where there is none. Raises BadRequest."""
    if raw is None:
        return missing
    try:
        return memo.read(raw, how)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from None


def read_list(raw: msgspec.Raw | None, memo: Memo, how: Callable[[Any], T], name: str) -> list[T]:
    """What `how` makes of each entry of a raw list, which must not be empty. Raises BadRequest."""
    try:
        entries = msgspec.json.decode(raw or b"[]", type=list[msgspec.Raw])
    except msgspec.ValidationError:
        entries = []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from None
    if not entries:
        raise BadRequest(f"{name} must be a list that is not empty")
    return [read_part(entry, memo, how, None) for entry in entries]  # type: ignore[arg-type, misc]


def limit_of(given: Json, *names: str) -> int | None:
    """The first limit, in tokens, among these members; None without one. BadRequest when it is no positive number."""
    limit = next((given[name] for name in names if given.get(name) is not None), None)
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
        raise BadRequest(f"{names[0]} must be a positive number")
    return limit


def stop_of(given: Any, name: str) -> tuple[str, ...]:
    """The strings that end an answer: one, a list, or none. Raises BadRequest."""
    strings = [given] if isinstance(given, str) else given or []
    if not isinstance(strings, list) or any(not isinstance(each, str) or not each for each in strings):
        raise BadRequest(f"{name} must be strings that are not empty")
    return tuple(strings)


def asked_of(given: Json, names: Iterable[str]) -> Json:
    """The agent's own sampling parameters."""
    return {name: given[name] for name in names if given.get(name) is not None}


def refuse(kind: str) -> BadRequest:
    """The error for content of a `kind` that is no text."""
    return BadRequest(f"this model reads text only, not {kind}", code="unsupported_content")


def function_tool(name: Any, description: Any, parameters: Any) -> Json:
    """A tool in the normalised form. Raises BadRequest without a name."""
    if not isinstance(name, str) or not name:
        raise BadRequest("a tool without a name")
    function: Json = {"name": name}
    if description:
        function["description"] = description
    function["parameters"] = parameters or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def tool_call(identity: str, name: str, arguments: str) -> Json:
    """A tool call in the normalised form."""
    return {"id": identity, "type": "function", "function": {"name": name, "arguments": arguments}}


def pieces(text: str) -> Iterator[str]:
    """The text in pieces of at most PIECE characters, one for each event."""
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]


def object_of(arguments: str) -> Json:
    """A call's arguments as an object; text that is none is kept whole under RAW."""
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {RAW: arguments}
    return value if isinstance(value, dict) else {RAW: arguments}


def arguments_of_object(value: Any) -> str:
    """The inverse of `object_of`, up to white space and the order of members."""
    if isinstance(value, dict) and list(value) == [RAW] and isinstance(value[RAW], str):
        return str(value[RAW])
    return msgspec.json.encode(value if value is not None else {}).decode()


def event(data: Json, name: str = "") -> bytes:
    """One server-sent event."""
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + msgspec.json.encode(data) + b"\n\n"
