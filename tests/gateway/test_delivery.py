"""Whether an answer arrived: what the agent did not wait for is recorded as such, and trained by nobody."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from katcore.gateway.server import Gateway
from katcore.gateway.session import Session
from katcore.pack_trie.options import PackOptions
from katcore.pack_trie.stream import items
from katcore.records import Pack, Scaffold, Trajectory, Verdict, encode
from katcore.streams import Line
from tests.support.gateway_fakes import FakeEngine, Socket, StreamingFake, opened, post, say

BODIES: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Look."}]}),
    "messages": ("/v1/messages", {"messages": [{"role": "user", "content": "Look."}], "max_tokens": 4000}),
    "responses": ("/v1/responses", {"input": "Look."}),
    "gemini": ("/v1beta/models/m:generateContent", {"contents": [{"role": "user", "parts": [{"text": "Look."}]}]}),
}
LONG = "word " * 300


def begun(session: Session, dialect: str, *, stream: bool, **more: Any) -> Socket:
    """A connection on which a request was sent, with `more` in its body."""
    path, body = BODIES[dialect]
    body = {**body, **more}
    connection = Socket(str(session.socket))
    if dialect == "gemini":
        path = path.replace(":generate", ":streamGenerate") + "?alt=sse" if stream else path
    else:
        body = {**body, "stream": stream}
    connection.request("POST", path, json.dumps(body), {"x-api-key": session.key})
    return connection


def at_work(engine: FakeEngine, calls: int = 1) -> None:
    while len(engine.params) < calls:
        time.sleep(0.01)


def abandoned(session: Session) -> None:
    """A stream of which its agent took some and went away; it is long over when this returns."""
    left = begun(session, "chat", stream=True)
    left.getresponse().read(500)
    left.close()
    time.sleep(2.0)


def engine_of(stream: bool) -> FakeEngine:
    engine = StreamingFake(lambda n: LONG + str(n)) if stream else FakeEngine(lambda n: LONG + str(n))
    engine.delay = 0.3
    if isinstance(engine, StreamingFake):
        engine.step_s = 0.003
    return engine


@pytest.mark.parametrize("dialect", BODIES)
@pytest.mark.parametrize("stream", [False, True])
def test_what_the_agent_left_is_not_delivered(gateway: Gateway, dialect: str, stream: bool) -> None:
    engine = engine_of(stream)
    session = opened(gateway, engine)
    connection = begun(session, dialect, stream=stream)
    if stream:
        connection.getresponse().read(500)  # some of it, and away
    else:
        at_work(engine)
    connection.close()
    assert connection.sock is None
    time.sleep(1.0)
    assert say(session, [{"role": "user", "content": "Next."}])["content"]
    trace = gateway.close_session(session)
    assert [call.delivered for call in trace.calls] == [False, True]
    assert all(call.error is None for call in trace.calls) and all(
        trace.nodes[c.node or 0].sampled for c in trace.calls
    )


@pytest.mark.parametrize("dialect", BODIES)
def test_the_same_body_while_it_is_answered_is_one_call(gateway: Gateway, dialect: str) -> None:
    engine = engine_of(False)
    session = opened(gateway, engine)
    answers: list[bytes] = []

    def asked() -> None:
        connection = begun(session, dialect, stream=False)
        answers.append(connection.getresponse().read())
        connection.close()

    threads = [threading.Thread(target=asked) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    trace = gateway.close_session(session)
    assert len(engine.params) == 1 and len(trace.calls) == 1 and trace.calls[0].retries == 2
    texts = [json.dumps(json.loads(answer), sort_keys=True) for answer in answers]
    assert len({text.replace(str(int(time.time())), "") for text in texts}) <= 2  # but for the second it was made in
    assert trace.calls[0].delivered is True


@pytest.mark.parametrize("wish", ["seed", "temperature", "reasoning_effort"])
def test_the_same_words_with_other_wishes_are_another_call(gateway: Gateway, wish: str) -> None:
    engine = engine_of(False)
    session = opened(gateway, engine)
    values: tuple[Any, Any] = ("low", "high") if wish == "reasoning_effort" else (0, 1)
    asked = [begun(session, "chat", stream=False, **{wish: value}) for value in values]
    assert all(connection.getresponse().read() for connection in asked)
    for connection in asked:
        connection.close()
    calls = gateway.close_session(session).calls
    assert [call.asked for call in calls] == [{wish: value} for value in values] and len(engine.params) == 2


def test_a_body_that_comes_again_after_its_answer_was_left_is_the_same_call(gateway: Gateway) -> None:
    engine = engine_of(True)
    session = opened(gateway, engine)
    abandoned(session)
    again = begun(session, "chat", stream=True)
    raw = again.getresponse().read()
    again.close()
    assert raw.endswith(b"data: [DONE]\n\n") and len(engine.params) == 1
    (call,) = gateway.close_session(session).calls
    assert call.delivered is True and call.retries == 1


def test_a_body_that_comes_again_after_its_answer_arrived_is_another_call(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: f"answer {n}")
    session = opened(gateway, engine)
    body = BODIES["chat"][1]
    assert [post(session, body)[0] for _ in range(2)] == [200, 200]
    assert [call.delivered for call in gateway.close_session(session).calls] == [True, True]


def test_nothing_of_it_is_trained(gateway: Gateway) -> None:
    engine = engine_of(True)
    session = opened(gateway, engine)
    abandoned(session)
    say(session, [{"role": "user", "content": "Next."}])
    trace = gateway.close_session(session)
    made = Trajectory(
        id="t", task_id="t", group_id="t", scaffold=Scaffold(name="s"), model="m", nodes=trace.nodes, calls=trace.calls,
        tokenizer=engine.chat.digest, verdict=Verdict(reward=1.0, passed=True),
    )  # fmt: skip
    trained = [sum(b - a for a, b in made.nodes[call.node or 0].sampled) for call in made.calls]
    for objective in ("sft", "em-sft", "tst"):
        (item,) = items([Line(made, encode(made), 1, "")], PackOptions(objective=objective), lambda name, number: None)
        assert isinstance(item.payload, Pack)
        assert len(item.payload.term_token) == trained[1], objective
