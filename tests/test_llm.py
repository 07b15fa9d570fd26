"""The client for endpoints that write and judge, against a real HTTP server on loopback."""

from __future__ import annotations

import pickle
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from katcore.errors import EngineError, UsageError
from katcore.llm import BadAnswer, Budget, BudgetSpent, Client, json_in
from tests.support.scripted_endpoint import endpoint

HELLO = [{"role": "user", "content": "hello"}]


class Point(msgspec.Struct):
    x: int


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAT_CACHE", str(tmp_path))


def client(url: str, **settings: Any) -> Client:
    return Client(url, "m", **{"first_pause_s": 0.01, **settings})


def test_the_same_request_is_sent_once(tmp_path: Path) -> None:
    with endpoint(lambda body: "hi") as server:
        assert [client(server.url).ask(HELLO).text for _ in range(3)] == ["hi"] * 3
        assert len(server.requests) == 1
        client(server.url).ask(HELLO, temperature=0.5)
        client(server.url, reuse=False).ask(HELLO)
        assert len(server.requests) == 3
    assert server.requests[1] == {"model": "m", "messages": HELLO, "temperature": 0.5}


def test_busy_and_broken_servers_are_asked_again() -> None:
    script = iter([(503, "busy"), (429, "slow down", {"Retry-After": "0.3"}), "at last"])
    with endpoint(lambda body: next(script)) as server:
        started = time.monotonic()
        assert client(server.url).ask(HELLO).text == "at last"
        assert time.monotonic() - started > 0.3


def test_a_refusal_is_not_repeated() -> None:
    with endpoint(lambda body: (401, "no such key")) as server:
        with pytest.raises(EngineError, match="answered 401: no such key"):
            client(server.url).ask(HELLO)
        assert len(server.requests) == 1


def test_nobody_there() -> None:
    with pytest.raises(EngineError, match="does not answer"):
        client("http://127.0.0.1:9/v1", attempts=2).ask(HELLO)


def test_another_shape_is_said_so() -> None:
    with endpoint(lambda body: (200, '{"choices": []}')) as server, pytest.raises(BadAnswer, match="without text"):
        client(server.url).ask(HELLO)


def test_a_server_without_response_format_is_asked_without(monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(body: dict[str, Any]) -> Any:
        return (400, "unknown field response_format") if "response_format" in body else '{"x": 1}'

    with endpoint(answer) as server:
        assert client(server.url).json(HELLO, Point) == Point(1)


def test_malformed_json_is_asked_for_again_and_told_why() -> None:
    script = iter(["no JSON today", '{"x": "one"}', 'Sure:\n```json\n{"x": 3}\n```'])
    with endpoint(lambda body: next(script)) as server:
        assert client(server.url).json(HELLO, Point) == Point(3)
        assert "Expected `int`, got `str`" in server.requests[2]["messages"][-1]["content"]


def test_json_that_never_comes() -> None:
    with endpoint(lambda body: "no") as server, pytest.raises(BadAnswer, match="no valid JSON in 2 answers"):
        client(server.url, reuse=False).json(HELLO, Point, tries=2)


def test_budgets() -> None:
    with endpoint(lambda body: "hi") as server:
        spender = client(server.url, budget=Budget(calls=2))
        for word in ("a", "a", "b"):  # the second is the cache's
            spender.ask([{"role": "user", "content": word}])
        with pytest.raises(BudgetSpent, match="2 model calls are used up"):
            spender.ask([{"role": "user", "content": "c"}])
        spender = client(server.url, budget=Budget(tokens=150))
        spender.ask([{"role": "user", "content": "d"}])
        spender.ask([{"role": "user", "content": "e"}])
        with pytest.raises(BudgetSpent, match="150 tokens"):
            spender.ask([{"role": "user", "content": "f"}])
        assert pickle.loads(pickle.dumps(spender.budget)).spent_tokens == 220


def test_the_key_travels_in_the_header_and_nowhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SOME_KEY", "k-secret")
    with endpoint(lambda body: "hi") as server:
        client(server.url, key_variable="SOME_KEY").ask(HELLO)
        assert server.headers[0]["Authorization"] == "Bearer k-secret"
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"hi" in kept and b"k-secret" not in kept


@pytest.mark.parametrize("name", ["sglang:http://a/v1", "openai:a/v1", "openai"])
def test_names_of_endpoints(name: str) -> None:
    with pytest.raises(UsageError):
        Client.named(name, "m")
    assert Client.named("openai:http://a/v1/", "m").url == "http://a/v1"


@pytest.mark.parametrize(
    ("text", "found"),
    [('{"a": 1}', '{"a": 1}'), ('<think>{no}</think> so {"a": {}} done', '{"a": {}}'), ("[1]", "[1]"), ("no", "no")],
)
def test_json_in_an_answer(text: str, found: str) -> None:
    assert json_in(text) == found
