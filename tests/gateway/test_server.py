"""The gateway over its real socket: keys, streams, caps, retries, errors."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from katcore.engine import SamplingParams
from katcore.gateway.server import Gateway
from katcore.gateway.session import Caps, Session, cut_off
from katcore.records import Exit
from tests.support.gateway_fakes import CAPS, FakeEngine, Socket, bash_call, opened, post, say, sse

USER = [{"role": "user", "content": "hello"}]
TOOLS = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]


def test_answers_with_message_and_usage(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "Hi there")
    session = opened(gateway, engine)
    status, answer = post(session, {"model": "m", "messages": USER})
    assert status == 200 and answer["object"] == "chat.completion" and answer["model"] == "m"
    assert answer["choices"][0]["message"] == {"role": "assistant", "content": "Hi there"}
    assert answer["choices"][0]["finish_reason"] == "stop"
    prompt, sampled = engine.seen[0]
    assert answer["usage"]["prompt_tokens"] == len(prompt) and answer["usage"]["completion_tokens"] == len(sampled)
    assert prompt == engine.chat.encode_prompt(USER)


def test_wrong_key_is_401_released_409_other_socket_401(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    one, two = opened(gateway, engine, "r1"), opened(gateway, engine, "r2")
    assert post(one, {"messages": USER}, key="nonsense")[0] == 401
    assert post(one, {"messages": USER}, key=two.key)[0] == 401, "a key works on its own socket only"
    path = str(two.socket)
    gateway.close_session(one)
    assert post(two, {"messages": USER}, key=one.key, path=path)[0] == 409
    assert engine.seen == []


def test_a_released_socket_is_gone(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "x"))
    gateway.close_session(session)
    with pytest.raises(OSError):
        post(session, {"messages": USER})


def test_tcp_port_needs_the_key(tmp_path: Path) -> None:
    import http.client

    with Gateway(tmp_path, tcp=("127.0.0.1", 0)) as gateway:
        session = opened(gateway, FakeEngine(lambda n: "x"))
        for key, status in ((session.key, 200), ("no", 401)):
            connection = http.client.HTTPConnection("127.0.0.1", gateway.port)
            connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
            response = connection.getresponse()
            assert response.status == status
            if status == 200:
                assert json.loads(response.read())["data"][0]["id"] == "fake"


def test_no_other_route(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "x"))
    for method, path in (("POST", "/sessions"), ("GET", "/"), ("DELETE", "/v1/models"), ("GET", "/metrics")):
        connection = Socket(str(session.socket))
        connection.request(method, path, headers={"Authorization": f"Bearer {session.key}"})
        assert connection.getresponse().status in (404, 405)


def joined(raw: bytes) -> tuple[dict[str, Any], str, list[dict[str, Any]]]:
    """The message that a client puts together from a stream, its finish reason, and all chunks."""
    events = list(sse(raw))
    assert events[-1] == "[DONE]" and events.count("[DONE]") == 1
    chunks = [json.loads(event) for event in events[:-1]]
    message: dict[str, Any] = {"content": ""}
    finish = ""
    for chunk in chunks:
        for choice in chunk["choices"]:
            delta = choice["delta"]
            message["role"] = delta.get("role", message.get("role"))
            message["content"] += delta.get("content") or ""
            for piece in delta.get("tool_calls", []):
                calls = message.setdefault("tool_calls", [])
                if piece["index"] == len(calls):
                    calls.append({"id": piece["id"], "type": piece["type"], "function": {"name": "", "arguments": ""}})
                for field in ("name", "arguments"):
                    calls[piece["index"]]["function"][field] += piece["function"].get(field, "")
            finish = choice["finish_reason"] or finish
    return message, finish, chunks


def test_stream_joins_to_the_message(gateway: Gateway) -> None:
    long = "x" * 10_000
    engine = FakeEngine(lambda n: "Look: " + bash_call(f"echo {long}") + "\n" + bash_call("ls"))
    session = opened(gateway, engine, caps=replace(CAPS, completion=20_000))
    status, raw = post(session, {"messages": USER, "tools": TOOLS, "stream": True})
    assert status == 200
    message, finish, chunks = joined(raw)
    assert finish == "tool_calls" and message["role"] == "assistant" and message["content"].startswith("Look:")
    assert [json.loads(c["function"]["arguments"])["command"] for c in message["tool_calls"]] == [f"echo {long}", "ls"]
    assert len({call["id"] for call in message["tool_calls"]}) == 2
    assert all("usage" not in chunk for chunk in chunks) and len({chunk["id"] for chunk in chunks}) == 1
    # and the message that came as a stream is known when it comes back
    results = [{"role": "tool", "tool_call_id": c["id"], "content": "[exit 0]"} for c in message["tool_calls"]]
    post(session, {"messages": [*USER, message, *results], "tools": TOOLS})
    prompt, sampled = engine.seen[0]
    assert engine.seen[1][0][: len(prompt) + len(sampled)] == prompt + sampled


def test_stream_usage_comes_last_when_asked(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "Hi"))
    _, raw = post(session, {"messages": USER, "stream": True, "stream_options": {"include_usage": True}})
    _, _, chunks = joined(raw)
    assert chunks[-1]["choices"] == [] and chunks[-1]["usage"]["completion_tokens"] > 0
    assert all(chunk["usage"] is None for chunk in chunks[:-1])


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"n": 2}, "unsupported_value"),
        ({"functions": [{"name": "f"}]}, "unsupported_parameter"),
        ({"messages": []}, "invalid_request_error"),
        ({"messages": [{"role": "nobody"}]}, "invalid_request_error"),
        ({"max_tokens": -1}, "invalid_request_error"),
        ({"tools": [{"type": "web_search"}]}, "invalid_request_error"),
    ],
)
def test_what_is_refused_says_why(gateway: Gateway, more: dict[str, Any], code: str) -> None:
    engine = FakeEngine(lambda n: "x")
    status, answer = post(opened(gateway, engine), {"messages": USER, **more})
    assert status == 400 and answer["error"]["code"] == code and answer["error"]["message"]
    assert engine.seen == []


def test_a_body_that_is_no_json_is_400(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "x"))
    assert [post(session, body)[0] for body in (b"{", b"[]", b"\xff", b"")] == [400] * 4


def test_training_overrides_the_agents_sampling_and_records_it(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    session = opened(
        gateway, engine, sampling=SamplingParams(temperature=0.7, top_p=0.9), caps=replace(CAPS, completion=64)
    )
    say(session, USER, temperature=0.0, top_p=0.1, max_tokens=5)
    assert (engine.params[0].temperature, engine.params[0].top_p, engine.params[0].max_new_tokens) == (0.7, 0.9, 5)
    call = gateway.close_session(session).calls[0]
    assert (call.sampling.temperature, call.sampling.top_p, call.logprob_temperature) == (0.7, 0.9, 0.7)
    assert call.asked == {"temperature": 0.0, "top_p": 0.1}


def test_evaluation_lets_the_agents_temperature_stand(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    say(opened(gateway, engine, agent_sampling=True), USER, temperature=0.25)
    assert engine.params[0].temperature == 0.25


def test_each_call_has_a_seed_of_its_own_that_does_not_depend_on_the_run(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    for name in ("r1", "r2"):
        session = opened(gateway, engine, name, seed=5)
        say(session, USER)
        say(session, USER)
    seeds = [params.seed for params in engine.params]
    assert seeds[0] != seeds[1] and seeds[:2] == seeds[2:]


def stopped(gateway: Gateway, engine: FakeEngine, caps: Caps, asks: int) -> tuple[int, dict[str, Any], Exit]:
    session = opened(gateway, engine, caps=caps)
    for number in range(asks - 1):
        say(session, [*USER, {"role": "user", "content": str(number)}])
    status, answer = post(session, {"messages": USER})
    trace = gateway.close_session(session)
    return status, answer["error"], cut_off(trace, Exit(kind="agent_error", detail="gave up"))


def test_call_cap_stops_as_turns(gateway: Gateway) -> None:
    status, error, exit_ = stopped(gateway, FakeEngine(lambda n: "x"), replace(CAPS, calls=2), 3)
    assert status == 400 and error["code"] == "rollout_stopped" and exit_.kind == "turns"


def test_token_cap_cuts_then_stops_as_tokens(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "one two three four five six seven eight nine ten")
    status, _, exit_ = stopped(gateway, engine, replace(CAPS, tokens=6), 2)
    assert status == 400 and exit_.kind == "tokens" and len(engine.seen[0][1]) == 6


def test_context_overflow_is_typed(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    status, error, exit_ = stopped(gateway, engine, replace(CAPS, context=4), 1)
    assert status == 400 and error["code"] == "context_length_exceeded" and exit_.kind == "context"
    assert engine.seen == []


def test_a_completion_never_outgrows_the_context(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "word " * 500)
    prompt = engine.chat.encode_prompt(USER)
    session = opened(gateway, engine, caps=replace(CAPS, context=len(prompt) + 9))
    _, answer = post(session, {"messages": USER})
    assert answer["choices"][0]["finish_reason"] == "length" and len(engine.seen[0][1]) == 9
    trace = gateway.close_session(session)
    assert cut_off(trace, Exit(kind="submitted")).kind == "tokens", "an answer that was cut off is no submission"


def test_time_cap_stops_a_call_in_flight(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    engine.delay = 30.0
    status, error, exit_ = stopped(gateway, engine, replace(CAPS, seconds=0.2), 1)
    assert status == 400 and error["code"] == "rollout_stopped" and exit_.kind == "time"


def test_engine_failure_is_503_and_recorded(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    engine.fail = 1
    session = opened(gateway, engine)
    status, answer = post(session, {"messages": USER})
    assert status == 503 and answer["error"]["type"] == "server_error"
    assert cut_off_now(gateway, session, "agent_error").kind == "engine"


def cut_off_now(gateway: Gateway, session: Session, kind: str) -> Exit:
    return cut_off(gateway.close_session(session), Exit(kind=kind))


def test_a_retry_after_a_failure_samples_again(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    engine.fail = 1
    session = opened(gateway, engine)
    assert post(session, {"messages": USER})[0] == 503
    assert post(session, {"messages": USER}, x_stainless_retry_count="1")[0] == 200
    trace = gateway.close_session(session)
    assert [bool(call.error) for call in trace.calls] == [True, False] and trace.calls[1].retries == 1


def test_a_marked_retry_gets_the_same_answer_an_unmarked_repeat_another(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: f"answer {n}")
    session = opened(gateway, engine)
    first = post(session, {"messages": USER})[1]
    assert post(session, {"messages": USER}, x_stainless_retry_count="1")[1] == first
    assert post(session, {"messages": USER})[1]["choices"] != first["choices"]
    assert len(engine.seen) == 2
    trace = gateway.close_session(session)
    assert len(trace.calls) == 2 and len([node for node in trace.nodes if node.sampled]) == 2


def test_a_retry_in_flight_joins_the_call(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: f"answer {n}")
    engine.delay = 0.5
    session = opened(gateway, engine)
    answers: list[Any] = []
    first = threading.Thread(target=lambda: answers.append(post(session, {"messages": USER})))
    first.start()
    while not engine.params:
        time.sleep(0.01)
    answers.append(post(session, {"messages": USER}, x_stainless_retry_count="1"))
    first.join()
    assert answers[0][1]["choices"] == answers[1][1]["choices"] and len(engine.seen) == 1


def test_an_agent_that_leaves_is_recorded_all_the_same(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "late")
    engine.delay = 0.3
    session = opened(gateway, engine)
    leave(session, engine)
    trace = gateway.close_session(session)
    assert [call.error for call in trace.calls] == [None] and trace.nodes[-1].sampled


@pytest.mark.filterwarnings("ignore")
def test_a_mistake_of_ours_is_loud(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens that do not add up must end the command, not become a trajectory."""
    session = opened(gateway, FakeEngine(lambda n: "x"))
    monkeypatch.setattr(session.tree, "ids", lambda node: [1])
    connection = Socket(str(session.socket))
    body = json.dumps({"messages": USER})
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {session.key}"})
    assert connection.getresponse().status == 500
    with pytest.raises(AssertionError, match="not those that the engine saw"):
        gateway.close_session(session)


def leave(session: Session, engine: FakeEngine) -> None:
    connection = Socket(str(session.socket))
    body = json.dumps({"messages": USER})
    connection.request("POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {session.key}"})
    while not engine.params:
        time.sleep(0.01)
    connection.close()


@pytest.mark.slow
def test_a_call_that_does_not_end_is_cancelled_and_recorded(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "never")
    engine.delay = 60.0
    session = opened(gateway, engine)
    leave(session, engine)
    trace = gateway.close_session(session)
    assert [call.error for call in trace.calls] == ["cancelled"] and engine.seen == []
