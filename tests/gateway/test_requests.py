"""What a request asks for besides an answer: strings that end it, a tool that must be called."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from katcore.gateway.dialects import Request, Schema
from katcore.gateway.dialects.constraints import ANY_OBJECT
from katcore.gateway.external import ExternalModel
from katcore.gateway.passed_on import for_anthropic, for_openai
from katcore.gateway.server import Gateway
from tests.support.gateway_fakes import FakeEngine, StreamingFake, bash_call, opened, say, sse
from tests.support.posted import PATHS
from tests.support.posted import posted as ask

USER = {"role": "user", "content": "Fix it."}


@pytest.mark.parametrize("make", [FakeEngine, StreamingFake])
@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_answer(gateway: Gateway, make: type[FakeEngine], stream: bool) -> None:
    engine = make(lambda n: "one two END three four" if n == 0 else "Done.")
    session = opened(gateway, engine)
    status, answer = ask(session, PATHS["chat"], {"messages": [USER], "stop": ["never", "END"], "stream": stream})
    assert status == 200
    if stream:
        chunks = [json.loads(data)["choices"] for data in sse(answer) if data != "[DONE]"]
        text = "".join(choice["delta"].get("content") or "" for choices in chunks for choice in choices)
    else:
        text = answer["choices"][0]["message"]["content"]
        assert answer["choices"][0]["finish_reason"] == "stop"
    assert text.strip() == "one two"
    message = {"role": "assistant", "content": text}
    say(session, [USER, message, {"role": "user", "content": "Go on."}])
    trace = gateway.close_session(session)
    first = trace.nodes[trace.calls[0].node or 0]
    ((start, end),) = first.sampled
    ids = (first.token_ids or [])[start:end]
    sampled = engine.seen[0][1]
    assert ids == sampled[: len(ids)] and engine.chat.decode(ids).endswith("END"), "no token behind the string"
    assert len(first.engine_logprobs or []) == len(ids)
    assert {node.lineage for node in trace.nodes} == {"main"}
    before = engine.seen[0][0] + ids + [engine.chat.turn_end]
    assert engine.seen[1][0][: len(before)] == before, "the next prompt goes on behind what was kept"


def test_anthropic_clients_are_told_the_string(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "one END two"))
    body = {"messages": [USER], "max_tokens": 99, "stop_sequences": ["END"]}
    _, answer = ask(session, PATHS["messages"], body)
    assert (answer["stop_reason"], answer["stop_sequence"]) == ("stop_sequence", "END")
    _, raw = ask(session, PATHS["messages"], {**body, "stream": True})
    (end,) = [event["delta"] for event in map(json.loads, sse(raw)) if event["type"] == "message_delta"]
    assert end == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


def test_a_stop_string_takes_the_call_behind_it_away(gateway: Gateway) -> None:
    session = opened(gateway, FakeEngine(lambda n: "I look. END " + bash_call("ls")))
    message = say(session, [USER], stop="END")
    assert message["content"].strip() == "I look." and not message.get("tool_calls")
    trace = gateway.close_session(session)
    assert trace.nodes[-1].tool_calls == []


@pytest.mark.parametrize("stop", [3, [""], ["a", 1], {"a": 1}])
def test_stop_strings_that_are_none_are_refused(gateway: Gateway, stop: Any) -> None:
    status, answer = ask(opened(gateway, FakeEngine(lambda n: "x")), PATHS["chat"], {"messages": [USER], "stop": stop})
    assert status == 400 and "stop must be strings" in answer["error"]["message"]


FORCED: list[tuple[str, Any]] = [
    ("chat", "required"),
    ("chat", {"type": "function", "function": {"name": "bash"}}),
    ("messages", {"type": "any"}),
    ("messages", {"type": "tool", "name": "bash"}),
    ("responses", "required"),
    ("responses", {"type": "function", "name": "bash"}),
]


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "provider", tcp=("127.0.0.1", 0)) as running:
        yield running


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(("dialect", "choice"), FORCED)
def test_outside_endpoints_get_the_choice_and_the_strings(
    gateway: Gateway, provider: Gateway, kind: Any, dialect: str, choice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = opened(provider, FakeEngine(lambda n: "one END two"))
    monkeypatch.setenv("TEACHER_KEY", theirs.key)
    url = f"http://127.0.0.1:{provider.port}" + ("/v1" if kind == "openai" else "")
    model = ExternalModel(kind, url, f"{kind}:teacher", "big", "TEACHER_KEY", first_pause_s=0.01)
    session = opened(gateway, model, "ours", agent_sampling=True)
    body = {"messages": [USER], "input": "Fix it.", "max_tokens": 9}
    _, answer = ask(session, PATHS[dialect], {**body, "tool_choice": choice})
    assert "tool_choice: there is no tool" in answer["error"]["message"], "the provider was asked, and refused"
    if dialect != "responses":  # which has no stop strings
        name = "stop_sequences" if dialect == "messages" else "stop"
        _, answer = ask(session, PATHS[dialect], {**body, name: ["END"]})
        assert "one" in json.dumps(answer) and "two" not in json.dumps(answer)
    gateway.call(model.close())


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
NAMED = {"name": "answer", "schema": SCHEMA, "strict": False}
DEMANDS: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"response_format": {"type": "json_schema", "json_schema": NAMED}, "reasoning_effort": "low", "seed": 7}),
    ("responses", {"text": {"format": {"type": "json_schema", **NAMED}}, "reasoning": {"effort": "low"}}),
    (
        "messages",
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}, "effort": "low"}, "max_tokens": 99},
    ),
]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(("dialect", "body"), DEMANDS)
def test_outside_endpoints_get_the_schema_the_effort_and_the_seed(
    gateway: Gateway, provider: Gateway, kind: Any, dialect: str, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine(lambda n: '{"a": 3}')
    theirs = opened(provider, engine, agent_sampling=True)
    monkeypatch.setenv("TEACHER_KEY", theirs.key)
    url = f"http://127.0.0.1:{provider.port}" + ("/v1" if kind == "openai" else "")
    model = ExternalModel(kind, url, f"{kind}:teacher", "big", "TEACHER_KEY", first_pause_s=0.01)
    session = opened(gateway, model, "ours", agent_sampling=True)
    for _ in range(2):
        status, _ = ask(session, PATHS[dialect], {"messages": [USER], "input": "Fix it.", **body})
        assert status == 200
    gateway.call(model.close())
    for params in engine.params:
        assert json.dumps(SCHEMA, separators=(",", ":")) in (params.grammar or "")
    seeds = {params.seed for params in engine.params}
    assert (len(seeds) == 1) is (dialect == "chat" and kind == "openai"), "Anthropic's API has no seed"
    (_, asked), *_ = [(call.id, call.asked) for call in provider.close_session(theirs).calls]
    assert asked["reasoning_effort" if kind == "openai" else "effort"] == "low"


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("dialect", ["chat", "messages"])
def test_outside_endpoints_are_asked_for_one_call(
    gateway: Gateway, provider: Gateway, kind: Any, dialect: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = opened(provider, FakeEngine(lambda n: bash_call("ls") + "\n" + bash_call("rm x")))
    monkeypatch.setenv("TEACHER_KEY", theirs.key)
    url = f"http://127.0.0.1:{provider.port}" + ("/v1" if kind == "openai" else "")
    model = ExternalModel(kind, url, f"{kind}:teacher", "big", "TEACHER_KEY", first_pause_s=0.01)
    session = opened(gateway, model, "ours", agent_sampling=True)
    chat = {"tools": [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]}
    messages = {"tools": [{"name": "bash", "input_schema": {"type": "object"}}], "max_tokens": 99}
    one = {"parallel_tool_calls": False} if dialect == "chat" else {}
    one |= {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}} if dialect == "messages" else {}
    for more, count in ((one, 1), ({}, 2)):
        body = {"messages": [USER], **(chat if dialect == "chat" else messages), **more}
        assert ask(session, PATHS[dialect], body)[0] == 200
        assert len((session.tree.nodes[-1].message or {})["tool_calls"]) == count
    gateway.call(model.close())


@pytest.mark.parametrize(
    ("schema", "effort", "openai", "anthropic"),
    [
        (Schema(ANY_OBJECT, "response_format"), "", {"response_format": {"type": "json_object"}},
         {"output_config": {"format": {"type": "json_schema", "schema": ANY_OBJECT}}}),
        (None, "minimal", {"reasoning_effort": "minimal"}, {"output_config": {"effort": "low"}}),
        (None, "none", {"reasoning_effort": "none"}, {"thinking": {"type": "disabled"}}),
    ],
)  # fmt: skip
def test_what_the_apis_have_other_words_for(
    schema: Schema | None, effort: str, openai: dict[str, Any], anthropic: dict[str, Any]
) -> None:
    request = Request([USER], None, schema=schema, effort=effort)
    assert for_openai(request) == openai and for_anthropic(request, None) == anthropic
