"""Outside endpoints in pass-through. The endpoint is another gateway: it checks what it is sent, as a provider does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from katcore.engine import SamplingParams
from katcore.errors import UsageError
from katcore.gateway.external import ExternalModel
from katcore.gateway.server import Gateway
from katcore.gateway.session import Session, cut_off
from katcore.records import Exit
from tests.support.gateway_fakes import CAPS, FakeEngine, Socket, bash_call, opened

SYSTEM = "You are an agent."
WEB = [{"type": "web_search_20250305", "name": "web_search"}]
TOOL = {"name": "bash", "description": "Run it.", "input_schema": {"type": "object", "properties": {}}}


@pytest.fixture
def provider(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path / "provider", tcp=("127.0.0.1", 0)) as running:
        yield running


def chained(
    gateway: Gateway, provider: Gateway, kind: Any, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, **more: Any
) -> tuple[Session, Session]:
    """A session that passes through to the provider, and the provider's own."""
    theirs = opened(provider, engine, "theirs", **more)
    monkeypatch.setenv("TEACHER_KEY", theirs.key)
    url = f"http://127.0.0.1:{provider.port}" + ("/v1" if kind == "openai" else "")
    model = ExternalModel(kind, url, f"{kind}:teacher", "big", "TEACHER_KEY", first_pause_s=0.01)
    return opened(gateway, model, "ours", agent_sampling=True), theirs


def post(session: Session, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    connection = Socket(str(session.socket))
    connection.request("POST", path, json.dumps(body), {"x-api-key": session.key})
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    connection.close()
    return response.status, answer


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_text_and_usage_pass_through_without_tokens(
    gateway: Gateway, provider: Gateway, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine(lambda n: ["I look. " + bash_call("ls"), "Done."][n])
    session, theirs = chained(gateway, provider, kind, engine, monkeypatch)
    messages: list[dict[str, Any]] = [{"role": "user", "content": "Fix it."}]
    asked = {"model": "small", "max_tokens": 99, "system": SYSTEM, "tools": [*WEB, TOOL], "temperature": 0.25}
    _, answer = post(session, "/v1/messages", {**asked, "messages": messages})
    assert answer["stop_reason"] == "tool_use" and [b["type"] for b in answer["content"]] == ["text", "tool_use"]
    result = {"type": "tool_result", "tool_use_id": answer["content"][1]["id"], "content": "a", "is_error": True}
    messages += [{"role": "assistant", "content": answer["content"]}, {"role": "user", "content": [result]}]
    _, last = post(session, "/v1/messages", {**asked, "messages": messages})
    assert last["content"] == [{"type": "text", "text": "Done."}] and last["stop_reason"] == "end_turn"
    ours, made = gateway.close_session(session), provider.close_session(theirs)
    assert [node.role for node in ours.nodes] == ["system", "user", "assistant", "tool", "assistant"]
    assert all(node.token_ids is None and not node.sampled for node in ours.nodes)
    assert [node.origin for node in ours.nodes if node.role == "assistant"] == ["external"] * 2
    assert [call.usage["prompt_tokens"] for call in ours.calls] == [len(p) for p, _ in engine.seen]
    assert [call.usage["completion_tokens"] for call in ours.calls] == [len(c) for _, c in engine.seen]
    assert [params.max_new_tokens for params in engine.params] == [99, 99]
    tools = (made.nodes[0].message or {})["tools"]
    assert [tool["function"]["name"] for tool in tools] == ["bash"], "the provider's own web search is not passed on"
    assert {node.lineage for node in made.nodes} == {"main"}, "the provider sees one conversation"


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_provider_that_fails_at_first_is_asked_again(
    gateway: Gateway, provider: Gateway, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine(lambda n: "Done.")
    engine.fail = 2
    session, _ = chained(gateway, provider, kind, engine, monkeypatch)
    status, _ = post(session, "/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "x"}]})
    assert status == 200 and [call.error for call in gateway.close_session(session).calls] == [None]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_what_the_provider_refuses_is_typed(
    gateway: Gateway, provider: Gateway, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine(lambda n: "Done.")
    session, theirs = chained(gateway, provider, kind, engine, monkeypatch, caps=replace(CAPS, context=3))
    body = {"messages": [{"role": "user", "content": "x"}]}
    status, answer = post(session, "/v1/chat/completions", body)
    assert status == 400 and answer["error"]["code"] == "context_length_exceeded"
    provider.close_session(theirs)
    assert cut_off(gateway.close_session(session), Exit(kind="agent_error")).kind == "context"


def test_a_key_that_the_provider_does_not_know(
    gateway: Gateway, provider: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeEngine(lambda n: "Done.")
    session, _ = chained(gateway, provider, "openai", engine, monkeypatch)
    monkeypatch.setenv("TEACHER_KEY", "wrong")
    status, answer = post(session, "/v1/chat/completions", {"messages": [{"role": "user", "content": "x"}]})
    assert status == 400 and "401" in answer["error"]["message"]
    post(session, "/v1/chat/completions", {"messages": [{"role": "user", "content": "y"}]})
    trace = gateway.close_session(session)
    assert "401" in str(trace.calls[0].error) and len(trace.calls) == 1, "the rollout has ended"
    assert trace.stop is not None and trace.stop.kind == "engine"


def test_without_a_key_it_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UsageError, match="needs a key"):
        ExternalModel("openai", "http://127.0.0.1:1/v1", "openai:x")


def test_agents_sampling_is_honoured(gateway: Gateway, provider: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(lambda n: "Done.")
    session, theirs = chained(gateway, provider, "openai", engine, monkeypatch, agent_sampling=True)
    body = {"messages": [{"role": "user", "content": "x"}], "temperature": 0.25, "top_p": 0.5}
    post(session, "/v1/chat/completions", body)
    assert isinstance(engine.params[0], SamplingParams)
    assert (engine.params[0].temperature, engine.params[0].top_p) == (0.25, 0.5)
    assert gateway.close_session(session).calls[0].sampling.temperature == 0.25
    provider.close_session(theirs)
