"""The APIs that agents speak, one file each: a request in, a reply out, whole or as a stream of events.

Between them lies one normalised form, the OpenAI message: role, `content`, `reasoning_content`, `tool_calls` with their
arguments as text, `tool_call_id`. What a dialect writes of a message it reads back to the same message, so that the
next request finds the tokens of the last one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import msgspec

from katcore.gateway.memo import Memo
from katcore.gateway.messages import whole_characters
from katcore.model.messages import RAW_ARGUMENTS
from katcore.records import Json

T = TypeVar("T")
PIECE = 4096
"""Longest piece of text in one event, in characters."""
ANY = "*"
"""The value of `Request.forced` when the agent must call some tool, no matter which."""
_HALF = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")
"""What half a surrogate pair may look like in JSON."""
MADE = "made_"
"""How the id begins that a dialect gives a call which came without one; `Request.unnamed` says that there are some."""
RAW = RAW_ARGUMENTS
"""The key under which a call's text stands when a client wants an object and the model wrote something else."""


class BadRequest(Exception):
    """A request that cannot be answered; the agent is told why, with this HTTP status and code.

    `retry_after`: in so many seconds it may be, 0 where nobody knows.
    """

    def __init__(
        self, message: str, *, code: str = "invalid_request_error", status: int = 400, retry_after: float = 0.0
    ) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True)
class Schema:
    """A JSON Schema that an answer's text must follow, and the `field` in which the agent wrote it.

    `name` and `strict` are of no use here: outside endpoints are told.
    """

    schema: Json
    field: str
    name: str = ""
    strict: bool = True


class Request(msgspec.Struct, frozen=True):
    """What an agent asks for, in one form. `asked` are its own sampling parameters.

    `agent` tells its conversations apart where it says so itself (a sub-agent's id in a header).
    `forced` is the tool that must be called, ANY when it may be any; `stop` are strings that end the answer.
    `schema` is what its text must follow; `parallel` whether it may hold several calls; `seed` and `effort` (`low`,
    `high`, `none` and the like) are what the agent would have where its own sampling stands.
    `custom` are the tools whose calls the dialect writes as free text, `namespaces` where it keeps some of them.
    `sse` False: a stream is one JSON array. `unnamed`: calls came without ids.
    For an outside endpoint: `body`, `dialect` and `betas` are the request as it came, with Anthropic's header of that
    name; `written` has, by their place, the messages that were sampled here, as they were recorded.
    """

    messages: list[Json]
    tools: list[Json] | None
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    model: str = ""
    asked: Json = {}
    agent: str = ""
    forced: str = ""
    stop: tuple[str, ...] = ()
    custom: frozenset[str] = frozenset()
    namespaces: dict[str, str] = {}
    schema: Schema | None = None
    parallel: bool | None = None
    seed: int | None = None
    effort: str = ""
    sse: bool = True
    unnamed: bool = False
    body: bytes = b""
    dialect: str = ""
    betas: str = ""
    written: dict[int, Json] = {}


@dataclass(frozen=True)
class Route:
    """Where a dialect answers requests; `{model}` in the path is the model's name, as aiohttp reads paths.

    `stream`: whether the answers there are streams; None where a request's body says it.
    """

    path: str
    stream: bool | None = None


@dataclass(frozen=True)
class Reply:
    """What an agent gets; `id` without a dialect's prefix. `stopped_by`: the stop string that ended it.

    `finish_reason`: `stop`, `tool_calls` or `length`; of an outside endpoint also `refusal` or `content_filter`.
    """

    id: str
    message: Json
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    stopped_by: str = ""


class Stream(Protocol):
    """One reply as a stream, mostly of server-sent events. What `delta` has sent `finish` does not send again."""

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
    routes: tuple[Route, ...]

    def parse(self, body: bytes, memo: Memo) -> Request:
        """The request in a body; `memo` holds parts of earlier ones, which are not read again. Raises BadRequest."""

    def answer(self, request: Request, reply: Reply) -> Json:
        """The reply as the API's JSON object."""

    def stream(self, request: Request, identity: str, prompt_tokens: int) -> Stream:
        """The stream in which the reply is sent as events; `identity` is the Reply's id."""

    def error(self, message: str, code: str, status: int) -> Json:
        """An error as the JSON object that the API's clients expect."""


class CountsTokens(Dialect, Protocol):
    """A dialect that tells how many tokens a prompt has; `counting` are its paths for that."""

    counting: tuple[str, ...]

    def counted(self, tokens: int) -> Json:
        """A number of tokens, as the API says it."""


def read_object(body: bytes, *left: str) -> tuple[Json, dict[str, msgspec.Raw]]:
    """The JSON object in a body, and those of its members that are `left` as they came. Raises BadRequest."""
    given = _decoded(body, dict[str, msgspec.Raw], "the body is not a JSON object")
    raw = {name: given.pop(name) for name in left if name in given}
    return {name: _decoded(value, Any) for name, value in given.items()}, raw


def read_part(raw: msgspec.Raw | None, memo: Memo, how: Callable[[Any], T], missing: T) -> T:
    """What `how` makes of a member that was left as raw JSON; `missing` where there is none. Raises BadRequest."""
    if raw is None:
        return missing
    return _mended(raw, lambda data: memo.read(data, how))


def read_list(raw: msgspec.Raw | None, memo: Memo, how: Callable[[Any], T], name: str) -> list[T]:
    """What `how` makes of each entry of a raw list, which must not be empty. Raises BadRequest."""
    wanted = f"{name} must be a list that is not empty"

    def parted(data: bytes) -> list[msgspec.Raw]:
        return _decoded(data, list[msgspec.Raw], wanted)  # type: ignore[no-any-return]

    def read(entry: msgspec.Raw) -> T:
        return _mended(entry, lambda data: memo.read(data, how))

    found = memo.entries(raw, how, parted, read) if raw is not None else []
    if not found:
        raise BadRequest(wanted)
    return found


def _decoded(data: bytes | msgspec.Raw, kind: Any, wanted: str = "") -> Any:
    try:
        return _mended(data, lambda whole: msgspec.json.decode(whole, type=kind))
    except msgspec.ValidationError:
        raise BadRequest(wanted) from None


def _mended(data: bytes | msgspec.Raw, read: Callable[[Any], T]) -> T:
    """What `read` makes of JSON text. Half a surrogate pair, left by a client that cut a text, is read as U+FFFD."""
    try:
        return read(data)
    except msgspec.ValidationError:
        raise
    except RecursionError:
        raise BadRequest("the body is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = bytes(data)
        whole = _whole(text) if _HALF.search(text) else text
        if whole == text:
            raise BadRequest(f"the body is not JSON: {error}") from None
        return read(msgspec.Raw(whole))


def _whole(text: bytes) -> bytes:
    try:
        return whole_characters(json.dumps(json.loads(text), ensure_ascii=False)).encode()
    except ValueError:
        return text


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
