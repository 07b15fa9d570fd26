"""Hooks, pauses and weight updates, streams that wait, limits on one call, metrics."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from katcore.engine import Generation, SamplingParams
from katcore.gateway import journal
from katcore.gateway.hook import Decision, by_references
from katcore.gateway.model import TokenModel
from katcore.gateway.server import Gateway
from katcore.gateway.session import Session, cut_off
from katcore.records import Exit, Node
from katcore.references import Rules, steps_of_messages
from katcore.train.options import InitOptions
from tests.support.gateway_fakes import CAPS, FakeEngine, Socket, StreamingFake, bash_call, opened, post, say, sse

USER = {"role": "user", "content": "Fix it."}
TOOLS = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]


def in_thread(session: Session, body: dict[str, Any]) -> tuple[threading.Thread, list[Any]]:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(post(session, body)))
    thread.start()
    return thread, answers


# ------------------------------------------------------------------ hooks


def bash(command: str) -> dict[str, Any]:
    function = {"name": "bash", "arguments": json.dumps({"command": command})}
    return {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": function}]}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_step_that_leaves_the_references_is_replaced(gateway: Gateway, streamed: bool) -> None:
    reference = steps_of_messages([bash("cat src/a.py"), bash("pytest tests/test_a.py")])
    engine = StreamingFake(lambda n: ["I go. " + bash_call("rm -rf src/b.py"), "Done."][n])
    session = opened(
        gateway, engine, hook=by_references([reference], Rules(threshold=0.5, patience=3, replace=True), "/testbed")
    )
    status, raw = post(session, {"messages": [USER], "tools": TOOLS, "stream": streamed})
    assert status == 200
    if streamed:
        text = "".join(sse(raw))
        assert "rm -rf" not in text and "I go" not in text and "cat src/a.py" in text
        return
    answer = raw["choices"][0]["message"]
    call = answer["tool_calls"][0]
    assert json.loads(call["function"]["arguments"]) == {"command": "cat src/a.py"} and call["id"]
    say(session, [USER, answer, {"role": "tool", "tool_call_id": call["id"], "content": "x"}], tools=TOOLS)
    trace = gateway.close_session(session)
    rejected, placed, last = trace.nodes[1], trace.nodes[2], trace.nodes[-1]
    assert rejected.lineage == "rejected-1" and not rejected.sampled and rejected.origin == "engine"
    assert placed.origin == "reference" and not placed.sampled and placed.engine_logprobs is None
    assert trace.calls[0].node == placed.id and last.lineage == "main" and last.sampled
    assert last.parent is not None and trace.nodes[last.parent].parent == placed.id
    before = engine.seen[0][0] + engine.chat.encode_completion(placed.message or {})
    assert engine.seen[1][0][: len(before)] == before, "the engine goes on behind the reference's own tokens"
    assert (rejected.token_ids or [])[-len(engine.seen[0][1]) :] == engine.seen[0][1], "no token is thrown away"


def test_a_rollout_that_stays_away_is_stopped(gateway: Gateway) -> None:
    reference = steps_of_messages([bash("cat src/a.py"), bash("pytest tests/test_a.py")])
    engine = FakeEngine(lambda n: bash_call("rm -rf src/b.py"))
    session = opened(
        gateway, engine, hook=by_references([reference], Rules(threshold=0.5, patience=1, replace=True), "/testbed")
    )
    status, answer = post(session, {"messages": [USER], "tools": TOOLS})
    assert status == 400 and answer["error"]["code"] == "rollout_stopped"
    trace = gateway.close_session(session)
    ended = cut_off(trace, Exit(kind="agent_error"))
    assert ended.kind == "stopped" and "reference" in ended.detail and trace.nodes[-1].sampled


def test_a_hook_sees_the_path_and_the_answer(gateway: Gateway) -> None:
    seen: list[tuple[list[str], str]] = []

    def hook(path: Sequence[Node], response: dict[str, Any]) -> Decision:
        seen.append(([node.role for node in path], response["content"]))
        return Decision()

    session = opened(gateway, FakeEngine(lambda n: f"answer {n}"), hook=hook)
    answer = say(session, [USER])
    say(session, [USER, answer, USER])
    assert seen == [(["user"], "answer 0"), (["user", "assistant", "user"], "answer 1")]


# ------------------------------------------------------------------ pauses


def test_calls_wait_while_it_is_paused(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    session = opened(gateway, engine, caps=replace(CAPS, seconds=0.5))
    gateway.pause()
    thread, answers = in_thread(session, {"messages": [USER]})
    time.sleep(0.8)
    assert engine.params == [], "nothing is generated, and the pause does not count as the rollout's time"
    gateway.resume()
    thread.join()
    assert answers[0][0] == 200


def test_draining_waits_for_what_is_under_way(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    engine.delay = 0.4
    session = opened(gateway, engine)
    thread, answers = in_thread(session, {"messages": [USER]})
    while not engine.params:
        time.sleep(0.01)
    gateway.pause(drain=True)
    assert len(engine.seen) == 1
    gateway.resume()
    thread.join()
    assert answers[0][0] == 200


class Interrupted(FakeEngine):
    """Gives up what it generates when its weights change, as some engines do."""

    def __init__(self, words: list[str]) -> None:
        super().__init__(lambda n: "")
        self.words, self.version, self.paused = words, "1", False
        self.calls: list[tuple[list[int], int]] = []

    async def generate(self, input_ids: list[int], params: SamplingParams) -> Generation:
        number = len(self.calls)
        self.calls.append((list(input_ids), params.max_new_tokens))
        ids = self.chat.encode(self.words[number])
        if number + 1 < len(self.words):
            while not self.paused:
                await asyncio.sleep(0.01)
            return Generation(ids, [-1.0] * len(ids), "abort", [(0, self.version)], len(input_ids))
        ids = [*ids, self.chat.turn_end]
        return Generation(ids, [-2.0] * len(ids), "stop", [(0, self.version)], len(input_ids))

    async def pause(self, mode: str) -> None:
        assert mode == "retract"
        self.paused = True
        await asyncio.sleep(0.05)

    async def resume(self) -> None:
        self.paused = False

    async def update_weights(self, folder: str, version: str) -> None:
        self.version = version


def test_a_call_in_flight_goes_on_with_the_new_weights(gateway: Gateway) -> None:
    engine = Interrupted(["one two", " three"])
    session = opened(gateway, engine)
    thread, answers = in_thread(session, {"messages": [USER]})
    while not engine.calls:
        time.sleep(0.01)
    time.sleep(0.05)
    gateway.update_weights(engine, "folder", "2")
    thread.join()
    assert answers[0][1]["choices"][0]["message"]["content"] == "one two three"
    node = gateway.close_session(session).nodes[-1]
    first = len(engine.chat.encode("one two"))
    (start, end), *_ = node.sampled
    assert node.versions == [(start, "1"), (start + first, "2")]
    assert engine.calls[1][0] == engine.calls[0][0] + engine.chat.encode("one two")
    assert engine.calls[1][1] == engine.calls[0][1] - first
    assert node.engine_logprobs == [-1.0] * first + [-2.0] * (end - start - first)


@pytest.mark.slow
def test_a_real_engine_goes_on_with_the_new_weights(gateway: Gateway, tmp_path: Path) -> None:
    """The same tokens in and out as ever, marked by the weights that sampled them."""
    from katcore.engine.embedded.server import EmbeddedServer
    from katcore.engine.sglang import SGLangEngine
    from katcore.model.folder import load
    from katcore.train.init import init

    init(tmp_path / "M", InitOptions(layers=1, hidden=32, heads=2, kv_heads=1))
    with EmbeddedServer(tmp_path / "M") as server:
        engine = SGLangEngine(server.url)
        model = TokenModel(engine, load(tmp_path / "M"), "tiny")
        session = opened(gateway, model, caps=replace(CAPS, completion=250))
        thread, answers = in_thread(session, {"messages": [USER]})
        while server.worker.running == [] and thread.is_alive():
            time.sleep(0.01)
        time.sleep(0.1)
        gateway.update_weights(engine, str(tmp_path / "M"), "two")
        thread.join()
        node = gateway.close_session(session).nodes[-1]
        gateway.call(engine.close())
    assert answers[0][0] == 200 and [version for _, version in node.versions] == ["default", "two"]
    (start, end), *_ = node.sampled
    assert node.versions[0][0] == start < node.versions[1][0] < end
    assert len(node.engine_logprobs or []) == end - start


def test_an_abort_without_a_pause_is_an_error(gateway: Gateway) -> None:
    engine = Interrupted(["one", "two"])
    engine.paused = True
    assert post(opened(gateway, engine), {"messages": [USER]})[0] == 503


# ------------------------------------------------------------------ streams


def test_a_stream_grows_while_it_is_sampled_and_is_journalled_first(gateway: Gateway) -> None:
    engine = StreamingFake(lambda n: "<think>\nfirst this\n</think>\n\nthen that " * 1 + "word " * 30 + bash_call("ls"))
    engine.step_s = 0.03
    session = opened(gateway, engine)
    connection = Socket(str(session.socket))
    body = {"messages": [USER], "tools": TOOLS, "stream": True}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Authorization": f"Bearer {session.key}"})
    response = connection.getresponse()
    got = b""
    while b"word" not in got:
        got += response.read1(65536)
    found = journal.read_journal(session.journal.path)
    assert found.calls == [], "the answer is under way"
    forwarded = "".join(
        choice["delta"].get("content") or "" for event in sse(got) for choice in json.loads(event)["choices"]
    )
    on_disk = engine.chat.decode(found.unfinished[0].token_ids)
    assert forwarded and forwarded in on_disk, "what has gone out is on disk"
    assert [node.role for node in found.nodes] == ["user"] and found.unfinished[0].prompt == 0
    got += response.read()
    events = [json.loads(event) for event in list(sse(got))[:-1]]
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == "first this"
    text = "".join(delta.get("content") or "" for delta in deltas)
    trace = gateway.close_session(session)
    assert text == (trace.nodes[-1].message or {})["content"] and text.startswith("then that word")
    assert journal.read_journal(session.journal.path).unfinished == {}
    assert (trace.calls[0].first_token_s or 9) < trace.calls[0].seconds


def test_a_stream_that_waits_is_kept_alive(tmp_path: Path) -> None:
    for path, sign in (
        ("/v1/chat/completions", b": keep-alive\n\n"),
        ("/v1/messages", b"event: ping\n"),
        ("/v1/responses", b"event: response.in_progress\n"),
    ):
        with Gateway(tmp_path, keep_alive_s=0.05) as gateway:
            engine = FakeEngine(lambda n: "x")
            engine.delay = 0.4
            session = opened(gateway, engine)
            connection = Socket(str(session.socket))
            body = {"messages": [USER], "input": "Fix it.", "max_tokens": 9, "stream": True}
            connection.request("POST", path, json.dumps(body), {"x-api-key": session.key})
            raw = connection.getresponse().read()
            assert raw.count(sign) >= 3
            assert len(list(sse(raw))) >= 3


def test_an_error_after_the_stream_began_is_an_event(tmp_path: Path) -> None:
    for path, sign in (("/v1/chat/completions", '"error"'), ("/v1/messages", '"error"'), ("/v1/responses", "failed")):
        with Gateway(tmp_path, keep_alive_s=0.05) as gateway:
            engine = FakeEngine(lambda n: "x")
            engine.delay, engine.fail = 0.2, 1
            session = opened(gateway, engine)
            connection = Socket(str(session.socket))
            body = {"messages": [USER], "input": "Fix it.", "max_tokens": 9, "stream": True}
            connection.request("POST", path, json.dumps(body), {"x-api-key": session.key})
            response = connection.getresponse()
            assert response.status == 200
            assert sign in list(sse(response.read()))[-1]


# ------------------------------------------------------------------ limits


def test_no_more_than_so_many_calls_at_once(gateway: Gateway) -> None:
    engine = Counting(lambda n: "x")
    engine.delay = 0.1
    session = opened(gateway, engine, caps=replace(CAPS, concurrent=2))
    threads = [in_thread(session, {"messages": [{"role": "user", "content": str(n)}]}) for n in range(5)]
    for thread, _ in threads:
        thread.join()
    assert [answers[0][0] for _, answers in threads] == [200] * 5 and engine.most == 2


class Counting(FakeEngine):
    running = most = 0

    async def generate(self, input_ids: list[int], params: SamplingParams) -> Generation:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            return await super().generate(input_ids, params)
        finally:
            self.running -= 1


def test_an_engine_that_never_answers_ends_the_call_and_then_the_rollout(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    engine.delay = 30.0
    session = opened(gateway, engine, caps=replace(CAPS, call_seconds=0.1, failures=2))
    assert post(session, {"messages": [USER]})[0] == 503
    status, answer = post(session, {"messages": [USER]})
    assert status == 400 and answer["error"]["code"] == "rollout_stopped"
    trace = gateway.close_session(session)
    ended = cut_off(trace, Exit(kind="agent_error"))
    assert ended.kind == "engine" and "no answer in 0.1 s" in ended.detail


# ------------------------------------------------------------------ metrics, counting


def test_metrics_have_an_address_of_their_own(tmp_path: Path) -> None:
    with Gateway(tmp_path, tcp=("127.0.0.1", 0), metrics=("127.0.0.1", 0)) as gateway:
        engine = FakeEngine(lambda n: "x")
        session = opened(gateway, engine)
        say(session, [USER])
        engine.fail = 1
        post(session, {"messages": [USER]})
        assert get(gateway.port, "/metrics")[0] == 404
        status, text = get(gateway.metrics_port, "/metrics")
        assert status == 200
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        samples = {name: float(value) for name, _, value in lines}
        assert all(re.fullmatch(r'[a-z_]+(\{([a-z]+="[^"]*",?)+\})?', name) for name in samples)
        assert samples['kat_gateway_calls_total{dialect="openai-chat",result="ok"}'] == 1
        assert samples['kat_gateway_calls_total{dialect="openai-chat",result="unavailable"}'] == 1
        assert samples['kat_gateway_tokens_total{kind="prompt"}'] == len(engine.seen[0][0])
        assert samples["kat_gateway_sessions_open"] == 1 and samples["kat_gateway_paused"] == 0
        assert samples["kat_gateway_retries_coalesced_total"] == samples["kat_gateway_replaced_total"] == 0
        counts = [count for name, count in samples.items() if "_bucket" in name]
        assert counts == sorted(counts) and counts[-1] == samples["kat_gateway_call_seconds_count"] == 2


def get(port: int | None, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", path)
    response = connection.getresponse()
    return response.status, response.read().decode()


def test_count_tokens_counts_what_the_engine_would_see(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "x")
    session = opened(gateway, engine)
    body = {"model": "m", "max_tokens": 9, "system": "You are an agent.", "messages": [USER]}
    counted = ask(session, "/v1/messages/count_tokens", body)
    made = ask(session, "/v1/messages", body)
    assert counted == {"input_tokens": len(engine.seen[0][0])}
    assert made["usage"]["input_tokens"] + made["usage"]["cache_read_input_tokens"] == len(engine.seen[0][0])
    assert len(gateway.close_session(session).calls) == 1


def ask(session: Session, path: str, body: dict[str, Any]) -> dict[str, Any]:
    connection = Socket(str(session.socket))
    connection.request("POST", path, json.dumps(body), {"x-api-key": session.key})
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    return answer
