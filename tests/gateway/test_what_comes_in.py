"""Requests as clients really send them: cut characters, unknown blocks, absurd bodies, paths that are not there."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from katcore.gateway.server import Gateway
from katcore.gateway.session import Session
from tests.support.gateway_fakes import FakeEngine, Socket, opened

PATHS = {
    "chat": "/v1/chat/completions",
    "messages": "/v1/messages",
    "responses": "/v1/responses",
    "gemini": "/v1beta/models/m:generateContent",
}


def raw(session: Session, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, Any]]:
    connection = Socket(str(session.socket))
    sent = {"x-api-key": session.key, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request(method, path, body, sent)
    response = connection.getresponse()
    data = response.read()
    assert response.headers.get_content_type() == "application/json", (path, data)
    answer = json.loads(data)
    connection.close()
    return response.status, answer


def body_of(dialect: str, text: str) -> bytes:
    """A request that says `text`, a piece of JSON text, and has said it before in a call's arguments."""
    said = f'"{text}"'
    if dialect == "responses":
        return f'{{"input": [{{"type": "message", "role": "user", "content": {said}}}]}}'.encode(
            "utf-8", "surrogatepass"
        )
    if dialect == "gemini":
        return f'{{"contents": [{{"role": "user", "parts": [{{"text": {said}}}]}}]}}'.encode("utf-8", "surrogatepass")
    limit = ', "max_tokens": 50' if dialect == "messages" else ""
    made = f'{{"messages": [{{"role": "user", "content": {said}}}]{limit}}}'
    return made.encode("utf-8", "surrogatepass")


def shown(engine: FakeEngine) -> str:
    return engine.chat.decode(engine.seen[-1][0])


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"cut \ud83d", "cut \ufffd"),
        (r"cut \ude00 here", "cut \ufffd here"),
        (r"whole \ud83d\ude00 and \ud83d", "whole \U0001f600 and \ufffd"),
        ("raw \ud83d", "raw \ufffd"),
        (r"no escape: \\ud83d", r"no escape: \ud83d"),
    ],
)
def test_half_a_surrogate_pair_is_read_as_a_replacement(gateway: Gateway, dialect: str, text: str, read: str) -> None:
    engine = FakeEngine(lambda n: "Done.")
    status, answer = raw(opened(gateway, engine), "POST", PATHS[dialect], body_of(dialect, text))
    assert status == 200, answer
    assert read in shown(engine)


@pytest.mark.parametrize("dialect", PATHS)
@pytest.mark.parametrize("where", ["body", "messages", "tools"])
def test_bodies_that_are_nested_too_deeply(gateway: Gateway, dialect: str, where: str) -> None:
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    engine = FakeEngine(lambda n: "Done.")
    session = opened(gateway, engine)
    name = {"responses": b'"input"', "gemini": b'"contents"'}.get(dialect, b'"messages"')
    body = {
        "body": b'{"metadata": ' + deep + b", " + body_of(dialect, "x")[1:],
        "messages": b"{" + name + b": [" + deep + b"]}",
        "tools": body_of(dialect, "x")[:-1] + b', "tools": [' + deep + b"]}",
    }[where]
    status, answer = raw(session, "POST", PATHS[dialect], body)
    assert (status, answer["error"]["message"]) == (400, "the body is nested too deeply")
    assert raw(session, "POST", PATHS[dialect], body_of(dialect, "x"))[0] == 200, "the session goes on"


@pytest.mark.parametrize("dialect", PATHS)
def test_a_body_that_only_says_that_it_is_compressed(gateway: Gateway, dialect: str) -> None:
    session = opened(gateway, FakeEngine(lambda n: "Done."))
    plain = body_of(dialect, "x")
    status, answer = raw(session, "POST", PATHS[dialect], plain, Content_Encoding="gzip")
    assert status == 400 and "encoded" in answer["error"]["message"]
    assert raw(session, "POST", PATHS[dialect], gzip.compress(plain), Content_Encoding="gzip")[0] == 200


@pytest.mark.parametrize(
    ("path", "headers", "anthropic"),
    [
        ("/v1/completions", {}, False),
        ("/v1/embeddings", {}, False),
        ("/", {}, False),
        ("/v1/messages/batches", {}, True),
        ("/api/event_logging/batch", {"anthropic_version": "2023-06-01"}, True),
    ],
)
def test_a_path_that_is_not_there(gateway: Gateway, path: str, headers: dict[str, str], anthropic: bool) -> None:
    status, answer = raw(opened(gateway, FakeEngine(lambda n: "x")), "POST", path, b"{}", **headers)
    assert status == 404 and "nothing at POST" in answer["error"]["message"]
    assert (answer.get("type") == "error") is anthropic


def test_a_path_that_is_asked_in_another_way(gateway: Gateway) -> None:
    status, answer = raw(opened(gateway, FakeEngine(lambda n: "x")), "GET", "/v1/messages")
    assert status == 405 and answer["type"] == "error"


def test_one_model(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "x"))
    status, answer = raw(session, "GET", "/v1/models/org/some-model")
    assert (status, answer["id"], answer["object"], answer["type"]) == (200, "org/some-model", "model", "model")
    assert raw(session, "GET", "/v1/models")[1]["data"][0]["id"] == "fake"


# ------------------------------------------------------------------ blocks that nobody knows

PICTURE = "data:image/png;base64,AAAA"


@pytest.mark.parametrize(
    ("dialect", "body", "words"),
    [
        (
            "responses",
            {"input": [{"type": "agent_message", "author": "a", "content": [{"type": "x", "text": "Look."}]}]},
            ["[agent_message] Look."],
        ),
        ("responses", {"input": [{"role": "user", "content": "Hi"}, {"type": "compaction", "x": 1}]}, ["[compaction]"]),
        ("responses", {"input": [{"role": "user", "content": [{"type": "input_hologram"}]}]}, ["[input_hologram]"]),
        (
            "responses",
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": PICTURE}]}]},
            ["[image]"],
        ),
        (
            "responses",
            {
                "input": [
                    {"role": "user", "content": "Hi"},
                    {"type": "additional_tools", "tools": [{"type": "function", "name": "later", "parameters": {}}]},
                    {"type": "tool_search_output", "tools": [{"type": "function", "name": "found", "parameters": {}}]},
                ]
            },
            ['"name": "later"', '"name": "found"'],
        ),
        (
            "messages",
            {
                "messages": [
                    {"role": "user", "content": "Hi"},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "find", "input": {}}]},
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "t1",
                                "content": [{"type": "tool_reference", "tool_name": "web"}],
                            }
                        ],
                    },
                ],
                "max_tokens": 9,
            },
            ["[tool_reference] web"],
        ),
        (
            "messages",
            {"messages": [{"role": "user", "content": [{"type": "next_thing"}]}], "max_tokens": 9},
            ["[next_thing]"],
        ),
        (
            "messages",
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "See:"},
                            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
                        ],
                    }
                ],
                "max_tokens": 9,
            },
            ["See:", "[image]"],
        ),
        (
            "chat",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PICTURE}}]}]},
            ["[image]"],
        ),
        (
            "chat",
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]},
            ["[input_audio]"],
        ),
    ],
)
def test_blocks_that_cannot_be_shown_become_placeholders(
    gateway: Gateway, dialect: str, body: dict[str, Any], words: list[str]
) -> None:
    engine = FakeEngine(lambda n: "Done.")
    status, answer = raw(opened(gateway, engine), "POST", PATHS[dialect], json.dumps(body).encode())
    assert status == 200, answer
    for word in words:
        assert word in shown(engine)


def test_two_images_are_two_messages(gateway: Gateway) -> None:
    from katcore.gateway.messages import key_of

    one, other = ({"type": "image_url", "image_url": {"url": f"data:,{n}"}} for n in range(2))
    assert key_of({"role": "user", "content": [one]}) != key_of({"role": "user", "content": [other]})
