"""The client for endpoints that write and judge, against a real HTTP server on loopback."""

from __future__ import annotations

import pickle
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest
from urllib3.exceptions import ProtocolError

from katcore.errors import EngineError, UsageError
from katcore.llm import BadAnswer, Budget, BudgetSpent, Client, json_in
from katcore.llm.retries import LONGEST_PAUSE_S, Retries
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


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that were made, in seconds: none takes any time."""
    found: list[float] = []
    monkeypatch.setattr(time, "sleep", found.append)
    return found


def test_busy_and_broken_servers_are_asked_again(slept: list[float]) -> None:
    script = iter([(503, "busy"), (429, "slow down", {"Retry-After": "0.3"}), "at last"])
    with endpoint(lambda body: next(script)) as server:
        assert client(server.url).ask(HELLO).text == "at last"
    assert 0.0075 <= slept[0] <= 0.01 and slept[1:] == [0.3]


def test_a_date_to_come_back_at_is_waited_for(slept: list[float]) -> None:
    script = iter([(503, "busy", {"Retry-After": formatdate(time.time() + 50, usegmt=True)}), "at last"])
    with endpoint(lambda body: next(script)) as server:
        assert client(server.url).ask(HELLO).text == "at last"
    assert len(slept) == 1 and 0.01 < slept[0] <= 50


@pytest.mark.parametrize("asked", ["soon", "-3", "", "Thu, 01 Jan 1970 00:00:00 GMT"])
def test_a_time_that_is_none_or_gone_by_is_no_reason_to_wait_or_to_stop(asked: str) -> None:
    script = iter([(429, "slow down", {"Retry-After": asked}), "at last"])
    with endpoint(lambda body: next(script)) as server:
        assert client(server.url).ask(HELLO).text == "at last"


def test_no_endpoint_can_make_it_wait_for_hours() -> None:
    retries = Retries.of(5, 0.5, lambda: None)
    asked = ["86400", "99999.5", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"]
    assert all(retries.parse_retry_after(header) <= LONGEST_PAUSE_S for header in asked)


def test_pauses_double_and_are_not_the_same_for_all() -> None:
    def pauses() -> list[float]:
        left, out = Retries.of(5, 1.0, lambda: None), []
        for _ in range(4):
            left = left.increment("POST", "/", error=ProtocolError())
            out.append(left.get_backoff_time())
        return out

    found = pauses()
    assert 0.75 <= found[0] <= 1 and 2 <= found[1] <= 3 and 4 <= found[2] <= 5 and 8 <= found[3] <= 9
    assert pauses() != found


@pytest.mark.parametrize("status", [408, 429, 500, 503, 529])
def test_so_many_tries_and_then_what_the_last_one_said(status: int) -> None:
    with endpoint(lambda body: (status, f"no {len(server.requests)}")) as server:
        spender = client(server.url, attempts=3)
        with pytest.raises(EngineError, match=f"^m: answered {status}: no 3$"):
            spender.ask(HELLO)
        assert len(server.requests) == spender.budget.spent_calls == 3


def test_a_retry_costs_a_call_of_the_budget() -> None:
    with endpoint(lambda body: (503, "busy")) as server:
        with pytest.raises(BudgetSpent, match="2 model calls are used up"):
            client(server.url, budget=Budget(calls=2)).ask(HELLO)
        assert len(server.requests) == 2


ANSWER = msgspec.json.encode({"choices": [{"message": {"content": "at last"}}]})
WHOLE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(ANSWER) + ANSWER


@pytest.mark.parametrize("cut", [0, 5, len(WHOLE) - 3], ids=["before", "in the head", "in the body"])
def test_a_connection_that_is_reset_is_made_again(cut: int) -> None:
    with breaking([WHOLE[:cut], WHOLE[:cut], WHOLE]) as (url, seen):
        spender = client(url)
        assert spender.ask(HELLO).text == "at last"
        assert seen[0] == seen[1] == seen[2] and b'"hello"' in seen[0] and spender.budget.spent_calls == 3


@pytest.mark.parametrize("cut", [0, len(WHOLE) - 3], ids=["before", "in the body"])
def test_a_connection_that_is_always_reset_is_given_up(cut: int) -> None:
    with breaking([WHOLE[:cut]] * 9) as (url, seen):
        with pytest.raises(EngineError, match=r"^m: does not answer \(\w+\)$"):
            client(url, attempts=3).ask(HELLO)
        assert len(seen) == 3


@contextmanager
def breaking(answers: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """A server that answers each connection with the next bytes and resets it; with the requests' bodies."""
    seen: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for answer in answers:
                try:
                    connection = listening.accept()[0]
                except OSError:
                    return
                with connection, connection.makefile("rb") as given:
                    head = dict(line.lower().split(b": ", 1) for line in iter(given.readline, b"\r\n") if b": " in line)
                    seen.append(given.read(int(head[b"content-length"])))
                    connection.sendall(answer)
                    if answer != WHOLE:
                        time.sleep(0.05)  # else the reset overtakes what was sent
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1", seen
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_silence_is_called_by_its_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        with pytest.raises(EngineError, match=r"does not answer \(ReadTimeoutError\)"):
            client(url, attempts=2, timeout_s=0.1).ask(HELLO)


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
