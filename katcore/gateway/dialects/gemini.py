"""Gemini's generateContent: what agents send, and what they expect back.

Members may be written as Google's JSON has them (`functionCall`) or as its protocol buffers do (`function_call`). Left
out of what the model sees: thought signatures, safety settings and the provider's own tools. A part that is no text, no
call and no response becomes a text that names its kind.

The API may leave a call's id out. Such a call gets one that follows from its place (`Request.unnamed` says that there
are some), and a response belongs to the call of its id, else to the first open call of its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec

from katcore.gateway.dialects import (
    ANY,
    MADE,
    BadRequest,
    Reply,
    Request,
    Route,
    Schema,
    Stream,
    arguments_of_object,
    function_tool,
    limit_of,
    read_list,
    read_object,
    read_part,
    stop_of,
    tool_call,
)
from katcore.gateway.dialects.constraints import whole_number, word
from katcore.gateway.dialects.content import Part, image, joined
from katcore.gateway.dialects.gemini_schema import json_schema
from katcore.gateway.dialects.gemini_stream import Chunks, chunk_of, parts_of
from katcore.gateway.memo import Memo
from katcore.records import Json

MODELS = ("/v1beta/models", "/v1/models")
ROLES = {"user": "user", "function": "user", "tool": "user", "model": "assistant", "system": "system", "": "user"}
SAMPLING = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "seed": "seed",
    "presencePenalty": "presence_penalty",
    "frequencyPenalty": "frequency_penalty",
    "stopSequences": "stop",
    "thinkingConfig": "thinking_config",
}
REFUSED = ("cachedContent", "continuationToken")
DATA = ("inlineData", "fileData")
OUTPUT = ("output", "result")
"""Where a response has its text: the API's own member, and the one that Google's SDK writes."""
BESIDE = ("thought", "thoughtSignature", "partMetadata", "mediaResolution", "videoMetadata")
"""Members of a part that say something about another one."""
STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
METHODS = ["generateContent", "streamGenerateContent", "countTokens"]
NOTHING: list[Json] = []


class Gemini:
    """The dialect of `/v1beta/models/MODEL:generateContent` and `:streamGenerateContent`."""

    name = "gemini"
    routes: tuple[Route, ...] = tuple(
        Route(f"{models}/{{model:.+}}:{method}", stream)
        for models in MODELS
        for method, stream in (("generateContent", False), ("streamGenerateContent", True))
    )
    counting: tuple[str, ...] = tuple(f"{models}/{{model:.+}}:countTokens" for models in MODELS)

    def parse(self, body: bytes, memo: Memo) -> Request:
        given, raw = read_object(body, "contents", "systemInstruction", "system_instruction", "tools")
        if "contents" not in raw and (inner := _of(given, "generateContentRequest")) is not None:  # to be counted
            given, raw = read_object(msgspec.json.encode(inner), "contents", "systemInstruction", "tools")
        for name in REFUSED:
            if _of(given, name):
                raise BadRequest(f"{name} is not supported: send the whole contents", code="unsupported_parameter")
        config = _object(_of(given, "generationConfig"), "generationConfig")
        _check(config)
        system = read_part(raw.get("systemInstruction", raw.get("system_instruction")), memo, _system, NOTHING)
        contents = chain.from_iterable(read_list(raw.get("contents"), memo, _messages, "contents"))
        messages, unnamed = _named(_joined(contents, memo))
        tools, forced = _chosen(read_part(raw.get("tools"), memo, _tools, None), given)
        return Request(
            messages=[*system, *messages],
            tools=tools,
            max_tokens=limit_of({"maxOutputTokens": _of(config, "maxOutputTokens")}, "maxOutputTokens"),
            asked=_asked(config),
            forced=forced,
            stop=stop_of(_of(config, "stopSequences"), "stopSequences"),
            schema=_schema(config),
            seed=whole_number(_of(config, "seed"), "seed"),
            effort=_effort(config),
            unnamed=unnamed,
        )

    def answer(self, request: Request, reply: Reply) -> Json:
        return chunk_of(request, reply.id, parts_of(reply.message), reply)

    def stream(self, request: Request, identity: str, prompt_tokens: int) -> Stream:
        return Chunks(request, identity, self.error)

    def error(self, message: str, code: str, status: int) -> Json:
        if code == "context_length_exceeded":  # the words by which clients know it
            message = f"The input token count exceeds the maximum number of tokens allowed: {message}"
        name = STATUS.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
        return {"error": {"code": status, "message": message, "status": name}}

    def counted(self, tokens: int) -> Json:
        """How many tokens a prompt has."""
        return {"totalTokens": tokens}

    def model(self, name: str, context: int, completion: int) -> Json:
        """A model as the API lists it."""
        return {
            "name": f"models/{name}",
            "displayName": name,
            "version": "1",
            "inputTokenLimit": context,
            "outputTokenLimit": completion,
            "supportedGenerationMethods": METHODS,
        }


# ------------------------------------------------------------------ contents


def _of(given: Json, name: str) -> Any:
    """A member by its name in JSON, or by the one in protocol buffers, which the API reads too."""
    if name in given:
        return given[name]
    return given.get("".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name))


def _object(given: Any, name: str) -> Json:
    if not isinstance(given or {}, dict):
        raise BadRequest(f"{name} must be an object")
    return given or {}


def _parts(content: Any) -> list[Json]:
    parts = [{"text": content}] if isinstance(content, str) else content.get("parts") or []
    if not isinstance(parts, list) or any(not isinstance(part, dict) for part in parts):
        raise BadRequest("parts must be a list of objects")
    return parts


def _system(content: Any) -> list[Json]:
    if not isinstance(content, str | dict):
        raise BadRequest("systemInstruction must be a content")
    texts = [text for text in map(_text, _parts(content)) if text]
    return [{"role": "system", "content": "\n\n".join(texts)}] if texts else []


def _messages(content: Any) -> list[Json]:
    """One content as messages: each response first, then what is said, which is the order that chat templates know."""
    role = ROLES.get(str(content.get("role") or "")) if isinstance(content, dict) else None
    if role is None:
        raise BadRequest(f"not a content: {str(content)[:100]}")
    parts = _parts(content)
    if role == "assistant":
        return [_answer(parts)]
    results = [_result(found) for part in parts if isinstance(found := _of(part, "functionResponse"), dict)]
    said = [part for part in parts if not isinstance(_of(part, "functionResponse"), dict)]
    return [*results, *([{"role": role, "content": joined(map(_part, said))}] if said or not parts else [])]


def _answer(parts: list[Json]) -> Json:
    text, thinking, calls = "", "", []
    for part in parts:
        call = _of(part, "functionCall")
        if isinstance(call, dict):
            name = str(call.get("name") or "")
            calls.append(tool_call(_bare(call), name, arguments_of_object(call.get("args"))))
        elif part.get("thought"):
            thinking += str(part.get("text") or "")
        else:
            text += _text(part)
    message: Json = {"role": "assistant", "content": text if text or not calls else None}
    message |= {"reasoning_content": thinking} if thinking else {}
    return message | ({"tool_calls": calls} if calls else {})


def _text(part: Json) -> str:
    """A part's text; for one that has none its kind in brackets, so that nothing unknown ends a session."""
    if isinstance(text := part.get("text"), str):
        return text
    for name in DATA:
        if isinstance(data := _of(part, name), dict):
            return f"[{name} {_of(data, 'mimeType') or 'of an unknown type'}]"
    kinds = [kind for kind in part if kind not in BESIDE]
    return f"[{kinds[0]}]" if kinds else ""


def _part(part: Json) -> Part:
    """An image, for those who see; any other part as text."""
    if isinstance(part.get("text"), str):
        return _text(part)
    data, file = _of(part, "inlineData"), _of(part, "fileData")
    kind = str(_of(data or file, "mimeType") or "") if isinstance(data or file, dict) else ""
    if kind.startswith("image/") and isinstance(data, dict):
        return image(f"data:{kind};base64,{data.get('data')}", "inlineData")
    if kind.startswith("image/") and str(_of(file, "fileUri") or "").startswith(("http://", "https://")):
        return image(_of(file, "fileUri"), "fileData")
    return _text(part)


def _result(response: Json) -> Json:
    """A response as a tool's message. `name` goes when its call is known."""
    given = response.get("response")
    only = next(iter(given)) if isinstance(given, dict) and len(given) == 1 else ""
    value = given[only] if isinstance(given, dict) and only in (*OUTPUT, "error") else given
    text = value if isinstance(value, str) else "" if value is None else msgspec.json.encode(value).decode()
    content = joined([text, *map(_part, _parts(response))])
    error = {"is_error": True} if isinstance(given, dict) and given.get("error") else {}
    name = str(response.get("name") or "")
    return {"role": "tool", "tool_call_id": _bare(response), "content": content, "name": name, **error}


def _bare(called: Json) -> str:
    """The id of a call or response, without the name that gemini-cli puts before it."""
    return str(called.get("id") or "").removeprefix(f"{called.get('name') or ''}__")


# ------------------------------------------------------------------ the conversation


def _joined(messages: Iterator[Json], memo: Memo) -> list[Json]:
    """The messages, with the model's contents that follow each other as one: SDKs keep a stream as its chunks."""
    found: list[Json] = []
    for message in messages:
        if found and found[-1]["role"] == message["role"] == "assistant":
            found[-1] = memo.pair(found[-1], message, _one)
        else:
            found.append(message)
    return found


def _one(last: Json, new: Json) -> Json:
    text = (last["content"] or "") + (new["content"] or "")
    calls = [*last.get("tool_calls", []), *new.get("tool_calls", [])]
    thinking = last.get("reasoning_content", "") + new.get("reasoning_content", "")
    message: Json = {"role": "assistant", "content": text if text or not calls else None}
    message |= {"reasoning_content": thinking} if thinking else {}
    return message | ({"tool_calls": calls} if calls else {})


def _named(messages: list[Json]) -> tuple[list[Json], bool]:
    """The messages with every call named and every response with its call's id; and whether a call had no id."""
    found: list[Json] = []
    waiting: dict[str, str] = {}  # calls without a response yet, in order: id -> name
    count, unnamed = 0, False
    for message in messages:
        calls = message.get("tool_calls") or []
        if any(not call["id"] for call in calls):
            unnamed = True
            named = [call if call["id"] else {**call, "id": f"{MADE}{count + at}"} for at, call in enumerate(calls)]
            message = {**message, "tool_calls": named}
        if message["role"] == "tool":
            message = _matched(message, waiting)
        for call in message.get("tool_calls") or []:
            waiting[call["id"]] = call["function"]["name"]
        count += len(calls)
        found.append(message)
    return found, unnamed


def _matched(result: Json, waiting: dict[str, str]) -> Json:
    identity, name = result["tool_call_id"], result["name"]
    if identity not in waiting:
        same = (call for call, called in waiting.items() if called == name and (not identity or call.startswith(MADE)))
        identity = next(same, identity)
    waiting.pop(identity, None)
    return {member: value for member, value in result.items() if member != "name"} | {"tool_call_id": identity}


# ------------------------------------------------------------------ settings


def _check(config: Json) -> None:
    if _of(config, "candidateCount") not in (None, 1):
        raise BadRequest("candidateCount must be 1", code="unsupported_value")
    if _of(config, "responseLogprobs"):
        raise BadRequest("responseLogprobs is not supported", code="unsupported_parameter")
    modes = _of(config, "responseModalities") or ["TEXT"]
    if not isinstance(modes, list) or any(str(mode).upper() != "TEXT" for mode in modes):
        raise BadRequest("responseModalities must be TEXT", code="unsupported_value")


def _asked(config: Json) -> Json:
    found = {ours: _of(config, theirs) for theirs, ours in SAMPLING.items() if _of(config, theirs) is not None}
    top_k = found.get("top_k")
    return found | ({"top_k": int(top_k)} if isinstance(top_k, float) and top_k.is_integer() else {})


def _effort(config: Json) -> str:
    """How much is to be thought; `none` where thinking has no budget."""
    thinking = _object(_of(config, "thinkingConfig"), "thinkingConfig")
    if _of(thinking, "thinkingBudget") == 0:
        return "none"
    level = word(_of(thinking, "thinkingLevel"), "thinkingLevel").lower()
    return "" if level == "thinking_level_unspecified" else level


def _schema(config: Json) -> Schema | None:
    """The JSON schema that the answer must follow: {} for any JSON, None for any text."""
    kind = str(_of(config, "responseMimeType") or "text/plain")
    if kind == "text/plain":
        return None
    given, theirs = _of(config, "responseJsonSchema"), _of(config, "responseSchema")
    schema = given if given is not None else json_schema(theirs) if isinstance(theirs, dict) else {}
    if kind == "text/x.enum":  # one of the schema's strings, bare
        raise BadRequest("responseMimeType text/x.enum is not supported", code="unsupported_value")
    if kind != "application/json" or not isinstance(schema, dict):
        raise BadRequest(f"responseMimeType {kind} is not supported", code="unsupported_value")
    return Schema(schema, "responseSchema" if given is None else "responseJsonSchema")


def _tools(given: Any) -> list[Json] | None:
    tools = given or []
    if not isinstance(tools, list) or any(not isinstance(tool, dict) for tool in tools):
        raise BadRequest("tools must be a list of objects")
    found = []
    for tool in tools:
        declared = _of(tool, "functionDeclarations") or []
        if not isinstance(declared, list) or any(not isinstance(each, dict) for each in declared):
            raise BadRequest("functionDeclarations must be a list of objects")
        for each in declared:
            schema, theirs = _of(each, "parametersJsonSchema"), each.get("parameters")
            if schema is None and isinstance(theirs, dict):
                schema = json_schema(theirs)
            found.append(function_tool(each.get("name"), each.get("description"), schema))
    return found or None


def _chosen(tools: list[Json] | None, given: Json) -> tuple[list[Json] | None, str]:
    """The tools that may be called, and the one that must be."""
    config = _object(_of(given, "toolConfig"), "toolConfig")
    choice = _object(_of(config, "functionCallingConfig"), "functionCallingConfig")
    mode = str(choice.get("mode") or "AUTO").upper()
    if mode == "NONE":
        return None, ""
    if mode not in ("AUTO", "ANY", "VALIDATED", "MODE_UNSPECIFIED"):
        raise BadRequest(f"the mode {mode[:100]} of functionCallingConfig is not supported", code="unsupported_value")
    names = _of(choice, "allowedFunctionNames") or []
    known = {tool["function"]["name"] for tool in tools or []}
    if not isinstance(names, list) or not {str(name) for name in names} <= known:
        raise BadRequest("allowedFunctionNames must be names of functionDeclarations")
    if tools and (len(names) > 1 or (names and mode != "ANY")):  # one that must be called leaves the others shown
        tools = [tool for tool in tools if tool["function"]["name"] in names]
    return tools, "" if mode != "ANY" else names[0] if len(names) == 1 else ANY
