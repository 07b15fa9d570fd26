"""Gemini's API, as its clients other than Google's Python SDK speak it: what comes in, what goes out."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from katcore.gateway.dialects import Reply, Request
from katcore.gateway.dialects.gemini import Gemini
from katcore.gateway.dialects.gemini_schema import json_schema
from katcore.gateway.memo import Memo
from katcore.gateway.server import Gateway
from katcore.gateway.session import Session
from katcore.records import Json
from tests.support.gateway_fakes import FakeEngine, Socket, StreamingFake, bash_call, opened, sse

MODEL = "/v1beta/models/some/model"
JS_EVENT = re.compile(r"^\s*data: ([^\n\r\u2028\u2029]*)(?:\n\n|\r\r|\r\n\r\n)")
"""How Google's SDK for JavaScript takes an event off its buffer."""


def ask(session: Session, body: Any, path: str = f"{MODEL}:generateContent", key: str = "header") -> tuple[int, Any]:
    """Status and answer: parsed, or the bytes of a stream of events."""
    connection = Socket(str(session.socket))
    headers = {"x-goog-api-key": session.key} if key == "header" else {}
    path += "" if key == "header" else ("&" if "?" in path else "?") + f"key={session.key}"
    connection.request("GET" if body is None else "POST", path, None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    raw = response.read()
    events = response.headers.get_content_type() == "text/event-stream"
    connection.close()
    return response.status, raw if events else json.loads(raw)


def user(text: str) -> Json:
    return {"role": "user", "parts": [{"text": text}]}


def parsed(*contents: Json, **more: Any) -> Request:
    return Gemini().parse(json.dumps({"contents": list(contents), **more}).encode(), Memo())


# ------------------------------------------------------------------ what goes out


@pytest.mark.parametrize("path", [MODEL, "/v1/models/m"])
@pytest.mark.parametrize("key", ["header", "query"])
def test_an_answer(gateway: Gateway, path: str, key: str) -> None:
    session = opened(gateway, FakeEngine(lambda n: "I look. " + bash_call("ls")))
    status, answer = ask(session, {"contents": [user("Fix it.")]}, f"{path}:generateContent", key)
    assert status == 200
    (candidate,) = answer["candidates"]
    text, call = candidate["content"]["parts"]
    assert candidate["content"]["role"] == "model" and candidate["finishReason"] == "STOP"
    assert text["text"].strip() == "I look." and call["functionCall"]["args"] == {"command": "ls"}
    usage = answer["usageMetadata"]
    assert usage["promptTokenCount"] + usage["candidatesTokenCount"] == usage["totalTokenCount"] > 0
    assert answer["modelVersion"] == path.partition("models/")[2]
    assert gateway.close_session(session).calls[0].dialect == "gemini"


def test_a_stream_without_events_is_one_array(gateway: Gateway) -> None:
    session = opened(gateway, StreamingFake(lambda n: "word " * 40 + bash_call("ls")))
    status, chunks = ask(session, {"contents": [user("Fix it.")]}, f"{MODEL}:streamGenerateContent")
    assert status == 200 and len(chunks) > 1
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(part.get("text", "") for part in parts).split() == ["word"] * 40
    assert parts[-1]["functionCall"]["name"] == "bash"
    assert [bool(chunk["candidates"][0].get("finishReason")) for chunk in chunks] == [False] * (len(chunks) - 1) + [
        True
    ]
    assert chunks[-1]["usageMetadata"]["candidatesTokenCount"] > 40


@pytest.mark.parametrize("engine", [FakeEngine, StreamingFake])
def test_events_are_read_by_the_sdk_for_javascript(gateway: Gateway, engine: type[FakeEngine]) -> None:
    said = "one\u2028two\u2029three\nfour"
    session = opened(gateway, engine(lambda n: said))
    _, raw = ask(session, {"contents": [user("Fix it.")]}, f"{MODEL}:streamGenerateContent?alt=sse")
    left, text = raw.decode(), ""
    while found := JS_EVENT.match(left):
        text += "".join(part["text"] for part in json.loads(found[1])["candidates"][0]["content"]["parts"])
        left = left[found.end() :]
    assert not left.strip() and text == said


def test_a_stream_that_fails_says_so_between_the_events(gateway: Gateway) -> None:
    request = Request([], None, stream=True)
    assert json.loads(Gemini().stream(request, "0", 1).fail("gone", "engine_error", 503)) == {
        "error": {"code": 503, "message": "gone", "status": "UNAVAILABLE"}
    }
    for words in ("", "one"):
        events = Gemini().stream(Request([], None, stream=True, sse=False), "0", 1)
        raw = events.start() + events.keep_alive() + events.delta("", words) + events.fail("gone", "engine_error", 503)
        assert json.loads(raw)[-1]["error"]["code"] == 503


MESSAGES: list[Json] = [
    {"content": "Done."},
    {"content": ""},
    {"content": None, "reasoning_content": "Hm."},
    {"content": "  I look.\n", "reasoning_content": "Hm."},
    {"content": None, "tool_calls": [("call_1", "bash", '{"command":"ls"}'), ("call_2", "bash", "{}")]},
    {"content": "x", "tool_calls": [("bash__7", "bash", '{"a":[1,{"b":null}]}'), ("a__b", "", '{"c":1}')]},
    {"content": None, "tool_calls": [("call_1", "bash", "{not json"), ("call_2", "bash", "[1]"), ("c", "bash", '"s"')]},
]


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("prefixed", [False, True])
def test_what_is_written_is_read_back(message: Json, streamed: bool, prefixed: bool) -> None:
    """Whole, or as a history of a stream's chunks; also with ids as gemini-cli changes them."""
    message = {"role": "assistant", **message}
    if "tool_calls" in message:
        message["tool_calls"] = [
            {"id": i, "type": "function", "function": {"name": n, "arguments": a}} for i, n, a in message["tool_calls"]
        ]
    reply, request = Reply("1", message, "stop", 1, 1), Request([], None, stream=streamed, sse=False)
    if streamed:
        events = Gemini().stream(request, "1", 1)
        thought, text = message.get("reasoning_content") or "", message["content"] or ""
        raw = events.start() + events.delta(thought, text[:2]) + b"".join(events.finish(reply))
        chunks = json.loads(raw)
    else:
        chunks = [Gemini().answer(request, reply)]
    contents = [chunk["candidates"][0]["content"] for chunk in chunks]
    for part in [part for content in contents for part in content["parts"] if prefixed]:
        call = part.get("functionCall")
        if call and not call["id"].startswith(f"{call['name'] or 'generic_tool'}__") and call["name"]:
            call["id"] = f"{call['name']}__{call['id']}"
    (found,) = parsed(*contents).messages
    if message["content"] is None and not message.get("tool_calls"):
        found["content"] = found["content"] or None
    assert found == message


# ------------------------------------------------------------------ what comes in


def called(*calls: tuple[str, str, Json]) -> Json:
    parts = [{"functionCall": {"name": n, "args": a, **({"id": i} if i else {})}} for i, n, a in calls]
    return {"role": "model", "parts": parts}


def answered(*results: tuple[str, str, Any]) -> Json:
    given = [{"name": n, "response": r, **({"id": i} if i else {})} for i, n, r in results]
    return {"role": "user", "parts": [{"functionResponse": each} for each in given]}


def test_responses_belong_to_calls_by_id_or_by_name_and_order() -> None:
    found = parsed(
        user("Fix it."),
        called(("a", "read", {"path": "1"}), ("b", "bash", {}), ("c", "read", {"path": "2"})),
        answered(("c", "read", {"output": "two"}), ("", "bash", {"output": "done"}), ("", "read", {"output": "one"})),
    )
    results = [(each["tool_call_id"], each["content"]) for each in found.messages if each["role"] == "tool"]
    assert results == [("c", "two"), ("b", "done"), ("a", "one")] and not found.unnamed


def test_calls_without_ids_get_the_same_ones_each_time() -> None:
    turn = [called(("", "read", {"path": "1"}), ("", "read", {"path": "2"}))]
    turn += [answered(("", "read", {"output": "one"}), ("x", "read", {"output": "two"}))]
    one, two = parsed(user("Fix it."), *turn), parsed(user("Fix it."), *turn, *turn)
    assert one.unnamed and two.messages[: len(one.messages)] == one.messages
    for at in (1, 4):
        ids = [call["id"] for call in two.messages[at]["tool_calls"]]
        assert [each["tool_call_id"] for each in two.messages[at + 1 : at + 3]] == ids
    assert len({call["id"] for message in two.messages for call in message.get("tool_calls", [])}) == 4


def test_a_client_that_drops_ids_goes_on_where_it_was(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: bash_call("ls") if n < 2 else "Done.")
    session = opened(gateway, engine)
    history = [user("Fix it.")]
    for n in range(3):
        _, answer = ask(session, {"contents": history})
        content = answer["candidates"][0]["content"]
        for part in content["parts"]:
            if "functionCall" in part:
                del part["functionCall"]["id"]
        history += [content, answered(("", "bash", {"output": f"a{n}"}))] if n < 2 else []
    trace = gateway.close_session(session)
    assert {node.lineage for node in trace.nodes} == {"main"}
    assert [node.role for node in trace.nodes] == ["user", *["assistant", "tool"] * 2, "assistant"]
    ids = [call["id"] for node in trace.nodes for call in (node.message or {}).get("tool_calls", [])]
    results = [(node.message or {})["tool_call_id"] for node in trace.nodes if node.role == "tool"]
    assert ids == results and len(set(ids)) == 2


@pytest.mark.parametrize(
    ("response", "text", "error"),
    [
        ({"output": "a\nb"}, "a\nb", False),
        ({"result": {"x": 1}}, '{"x":1}', False),
        ({"error": "no such file"}, "no such file", True),
        ({"output": "half", "error": "cut"}, '{"output":"half","error":"cut"}', True),
        ({"stdout": "a"}, '{"stdout":"a"}', False),
        ({"output": None}, "", False),
        ({}, "{}", False),
        (None, "", False),
        ("plain", "plain", False),
    ],
)
def test_what_a_response_says(response: Any, text: str, error: bool) -> None:
    found = parsed(user("x"), called(("a", "bash", {})), answered(("a", "bash", response))).messages[-1]
    assert found == {"role": "tool", "tool_call_id": "a", "content": text, **({"is_error": True} if error else {})}


def test_parts_that_are_no_text() -> None:
    given = [
        {"text": "See "},
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
        {"file_data": {"mime_type": "video/mp4", "file_uri": "x"}},
        {"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "AA=="},
        {"nextYearsPart": 7},
        {},
    ]
    said = "See [inlineData image/png][fileData video/mp4][executableCode][nextYearsPart]"
    seen = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    rest = {"type": "text", "text": "[fileData video/mp4][executableCode][nextYearsPart]"}
    found = parsed({"parts": given}, {"role": "model", "parts": [*given, {"text": "hm", "thought": True}]})
    assert found.messages[0] == {"role": "user", "content": [{"type": "text", "text": "See "}, seen, rest]}
    assert found.messages[1] == {"role": "assistant", "content": said, "reasoning_content": "hm"}
    shown = {"name": "see", "response": {"output": "an image"}, "parts": [given[1]]}
    result = parsed({"parts": [{"functionResponse": shown}]}).messages[0]
    assert result["content"] == [{"type": "text", "text": "an image"}, seen]
    afar = {"fileData": {"mimeType": "image/png", "fileUri": "https://e.org/a.png"}}
    assert parsed({"parts": [afar]}).messages[0]["content"][0]["image_url"] == {"url": "https://e.org/a.png"}
    kept = {"fileData": {"mimeType": "image/png", "fileUri": "files/7"}}  # in a store that is somebody else's
    assert parsed({"parts": [kept]}).messages[0]["content"] == "[fileData image/png]"


@pytest.mark.parametrize(
    ("thinking", "effort"),
    [({"thinkingBudget": 0}, "none"), ({"thinkingLevel": "HIGH"}, "high"), ({"thinking_level": "low"}, "low"),
     ({"thinkingLevel": "THINKING_LEVEL_UNSPECIFIED"}, ""), ({"thinkingBudget": 512}, ""), (None, "")],
)  # fmt: skip
def test_how_much_is_thought(thinking: Any, effort: str) -> None:
    assert parsed(user("x"), generationConfig={"thinkingConfig": thinking, "seed": 3}).effort == effort


def test_names_of_protocol_buffers_and_a_system_instruction() -> None:
    config = {"max_output_tokens": 7, "stop_sequences": ["END"], "topK": 64.0, "top_p": 0.5, "seed": 3}
    tool = {"name": "f", "parameters": {"type": "OBJECT", "properties": {"type": {"type": "STRING"}}}}
    more: Json = {"system_instruction": {"parts": [{"text": "One."}, {"text": "Two."}]}, "generation_config": config}
    found = parsed(user("x"), tools=[{"function_declarations": [tool]}, {"googleSearch": {}}], **more)
    assert found.messages[0] == {"role": "system", "content": "One.\n\nTwo."}
    assert (found.max_tokens, found.stop) == (7, ("END",))
    assert found.asked == {"top_k": 64, "top_p": 0.5, "seed": 3, "stop": ["END"]}
    schema = {"type": "object", "properties": {"type": {"type": "string"}}}
    assert found.tools == [{"type": "function", "function": {"name": "f", "parameters": schema}}]


def test_googles_schemas() -> None:
    given = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "nullable": True, "format": "enum", "enum": ["A", "B"]},
            "items": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1", "example": [1]},
            "any": {"anyOf": [{"type": "NUMBER"}, {"type": "BOOLEAN"}], "nullable": True},
        },
        "required": ["type"],
        "propertyOrdering": ["type", "items", "any"],
    }
    assert json_schema(given) == {
        "type": "object",
        "properties": {
            "type": {"type": ["string", "null"], "enum": ["A", "B", None]},
            "items": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "examples": [[1]]},
            "any": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}]},
        },
        "required": ["type"],
    }
    plain = {"type": ["string", "null"], "additionalProperties": False, "$defs": {"x": {"type": "string"}}}
    assert json_schema(plain) == plain


TOOLS = [{"functionDeclarations": [{"name": "a"}, {"name": "b", "parametersJsonSchema": {"type": "object"}}]}]


@pytest.mark.parametrize(
    ("choice", "names", "forced"),
    [
        ({}, ["a", "b"], ""),
        ({"mode": "AUTO"}, ["a", "b"], ""),
        ({"mode": "NONE"}, None, ""),
        ({"mode": "ANY"}, ["a", "b"], "*"),
        ({"mode": "ANY", "allowedFunctionNames": ["b"]}, ["a", "b"], "b"),
        ({"mode": "any", "allowed_function_names": ["a", "b"]}, ["a", "b"], "*"),
        ({"mode": "VALIDATED"}, ["a", "b"], ""),
    ],
)
def test_which_tools_may_and_must_be_called(choice: Json, names: list[str] | None, forced: str) -> None:
    found = parsed(user("x"), tools=TOOLS, toolConfig={"functionCallingConfig": choice})
    assert (found.tools and [tool["function"]["name"] for tool in found.tools]) == names and found.forced == forced


REFUSED: list[tuple[Json, str]] = [
    ({"contents": []}, "contents must be a list"),
    ({"contents": "x"}, "contents must be a list"),
    ({"contents": [7]}, "not a content"),
    ({"contents": [{"role": "wizard", "parts": []}]}, "not a content"),
    ({"contents": [{"parts": "x"}]}, "parts must be a list"),
    ({"contents": [user("x")], "generationConfig": {"candidateCount": 2}}, "candidateCount must be 1"),
    ({"contents": [user("x")], "generationConfig": {"responseModalities": ["AUDIO"]}}, "responseModalities"),
    ({"contents": [user("x")], "generationConfig": {"responseMimeType": "text/x.enum"}}, "text/x.enum"),
    ({"contents": [user("x")], "generationConfig": {"maxOutputTokens": -1}}, "maxOutputTokens"),
    ({"contents": [user("x")], "generationConfig": 7}, "generationConfig must be an object"),
    ({"contents": [user("x")], "cachedContent": "cachedContents/1"}, "send the whole contents"),
    ({"contents": [user("x")], "tools": [{"functionDeclarations": [{}]}]}, "a tool without a name"),
    (
        {"contents": [user("x")], "toolConfig": {"functionCallingConfig": {"allowedFunctionNames": ["z"]}}},
        "names of functionDeclarations",
    ),
]


@pytest.mark.parametrize(("body", "why"), REFUSED)
def test_what_cannot_be_answered_is_refused_in_googles_form(gateway: Gateway, body: Json, why: str) -> None:
    session = opened(gateway, FakeEngine(lambda n: "Done."))
    for method in ("generateContent", "streamGenerateContent?alt=sse"):
        status, answer = ask(session, body, f"{MODEL}:{method}")
        assert status == 400 and why in answer["error"]["message"]
        assert (answer["error"]["code"], answer["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert gateway.close_session(session).calls == []


def test_a_schema_is_kept() -> None:
    theirs = {"responseMimeType": "application/json", "responseSchema": {"type": "STRING"}}
    ours = {"responseMimeType": "application/json", "responseJsonSchema": {"type": "string"}}
    anything = {"responseMimeType": "application/json"}
    found = [parsed(user("x"), generationConfig=config).schema for config in (theirs, ours, anything)]
    assert [schema and schema.schema for schema in found] == [{"type": "string"}, {"type": "string"}, {}]
    assert [schema and schema.field for schema in found] == ["responseSchema", "responseJsonSchema", "responseSchema"]
    assert parsed(user("x")).schema is None


# ------------------------------------------------------------------ what else there is


def test_tokens_are_counted(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "Done."))
    body = {"contents": [user("Fix it.")], "systemInstruction": {"parts": [{"text": "You are an agent."}]}}
    _, one = ask(session, body, f"{MODEL}:countTokens")
    _, same = ask(session, {"generateContentRequest": {"model": "models/m", **body}}, f"{MODEL}:countTokens")
    _, less = ask(session, {"contents": [user("Fix it.")]}, "/v1/models/m:countTokens")
    assert one == same and one["totalTokens"] > less["totalTokens"] > 0
    _, answer = ask(session, body)
    assert answer["usageMetadata"]["promptTokenCount"] >= one["totalTokens"]


def test_models_are_listed(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "Done."))
    _, listed = ask(session, None, "/v1beta/models")
    _, one = ask(session, None, "/v1beta/models/some/model")
    assert [model["name"] for model in listed["models"]] == ["models/fake"] and one["name"] == "models/some/model"
    assert one["inputTokenLimit"] == session.caps.context and "generateContent" in one["supportedGenerationMethods"]


def test_a_wrong_key_is_refused_in_googles_form(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "Done."))
    session.key += "x"
    assert ask(session, {"contents": [user("x")]})[1]["error"]["status"] == "UNAUTHENTICATED"
    assert ask(session, {"contents": [user("x")]}, key="query")[0] == 401
    session.key = session.key[:-1]


def test_the_answer_of_a_stream_of_events_is_whole(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "<think>\nHm.\n</think>\n\nYes."))
    _, raw = ask(session, {"contents": [user("x")]}, f"{MODEL}:streamGenerateContent?alt=sse", key="query")
    parts = [part for data in sse(raw) for part in json.loads(data)["candidates"][0]["content"]["parts"]]
    assert parts == [{"text": "Hm.", "thought": True}, {"text": "Yes."}]
