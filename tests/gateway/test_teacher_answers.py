"""What teachers answer that is not quite what their API says: read where it is plain, else one call has failed.

No answer, whatever it is, ends a session. Each test runs for both kinds of endpoint or for all dialects of agents.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from katcore.gateway.server import Gateway
from katcore.gateway.session import Session
from tests.support.gateway_fakes import opened
from tests.support.scripted_endpoint import Given
from tests.support.teachers import DIALECTS, KINDS, USAGE, Agent, chunks, refuses, says

Opened = Callable[..., Session]


def changed(kind: str, **fields: Any) -> dict[str, Any]:
    """An answer with these fields of its message (or, at Anthropic, of the whole) instead."""
    made = says(kind)
    (made["choices"][0]["message"] if kind == "openai" else made).update(fields)
    return made


USAGES: list[tuple[Any, int | None]] = [("5", 5), (5.0, 5), ("5.0", 5), (None, None), ("many", None), (-1, None),
    (True, None), ([5], None), (1e300, None), ({"n": 5}, None)]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("told", "read"), USAGES)
def test_usage_of_any_shape_loses_nobody(teach: Opened, gateway: Gateway, kind: str, told: Any, read: int) -> None:
    answer = says(kind)
    names = ("prompt_tokens", "completion_tokens") if kind == "openai" else ("input_tokens", "output_tokens")
    answer["usage"] = dict.fromkeys(names, told)
    session = teach(kind, answer)
    assert Agent(session, "anthropic").ask().text == "Done."
    (call,) = gateway.close_session(session).calls
    assert (call.usage.get("prompt_tokens"), call.usage.get("completion_tokens")) == (read, read)
    assert call.error is None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("usage", [None, [], "none", 3])
def test_no_usage_is_unknown(teach: Opened, gateway: Gateway, kind: str, usage: Any) -> None:
    session = teach(kind, {**says(kind), "usage": usage})
    assert Agent(session, "openai-chat").ask().answer["usage"]["prompt_tokens"] == 0
    assert gateway.close_session(session).calls[0].usage == {"cached_tokens": 0}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("content", [["Do", {"text": "ne."}], [{"type": "text", "text": "Done."}], {"text": "Done."}])
def test_content_as_parts_is_text(teach: Opened, dialect: str, content: Any) -> None:
    assert Agent(teach("openai", changed("openai", content=content)), dialect).ask().text == "Done."


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("content", "text"), [(7, "7"), (1.5, "1.5"), ("Done.", "Done."), (["Done."], "Done."), ([], "")]
)
def test_content_as_a_number_or_parts_is_text(teach: Opened, kind: str, content: Any, text: str) -> None:
    assert Agent(teach(kind, changed(kind, content=content)), "openai-chat").ask().text == text


def test_thinking_parts_are_reasoning(teach: Opened, gateway: Gateway) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "Done."}]
    session = teach("openai", changed("openai", content=parts))
    assert Agent(session, "anthropic").ask().answer["content"][0]["thinking"] == "hm"
    message = gateway.close_session(session).nodes[-1].message or {}
    assert (message["reasoning_content"], message["content"]) == ("hm", "Done.")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "given",
    [{"command": "ls"}, '{"command":"ls"}', None, "", 5, [1]],
    ids=["object", "text", "null", "none", "5", "list"],
)
def test_arguments_of_any_shape(teach: Opened, gateway: Gateway, kind: str, given: Any) -> None:
    answer = says(kind, "I look.", call="ls")
    if kind == "openai":
        answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] = given
    else:
        answer["content"][1]["input"] = given
    session = teach(kind, answer)
    agent = Agent(session, "openai-chat").ask()
    plain = json.loads(given) if isinstance(given, str) and given else given
    assert agent.arguments == ({} if plain in (None, "") else plain)
    assert agent.go_on().ask().status == 200
    trace = gateway.close_session(session)
    assert {node.lineage for node in trace.nodes} == {"main"} and not any(call.error for call in trace.calls)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("identity", [None, "", "same", 7])
def test_calls_without_an_id_get_one_that_is_their_own(
    teach: Opened, gateway: Gateway, kind: str, dialect: str, identity: Any
) -> None:
    answer = says(kind, "I look.", call="ls")
    calls = answer["choices"][0]["message"]["tool_calls"] if kind == "openai" else answer["content"][1:]
    calls[0]["id"] = identity
    if kind == "openai":
        calls.append(json.loads(json.dumps(calls[0])))
    else:
        answer["content"].append(dict(calls[0]))
    session = teach(kind, answer, answer, says(kind))
    agent = Agent(session, dialect).ask()
    first = [each for each, _ in agent._calls()]
    second = [each for each, _ in agent.go_on().ask()._calls()]
    found = [*first, *second]
    assert len(set(found)) == 4 and all(found), "no id comes twice, in an answer or in a conversation"
    if identity is not None and identity != "":
        assert found[0] == str(identity), "what the endpoint wrote stays where it is one"
    trace = gateway.close_session(session)
    again = gateway.close_session(teach(kind, answer))
    assert [call.id for node in trace.nodes for call in node.tool_calls][:2] == first and not again.nodes


@pytest.mark.parametrize("stream", [False, True])
def test_made_ids_are_the_same_each_time(teach: Opened, gateway: Gateway, stream: bool) -> None:
    answer = says("openai", call="ls")
    del answer["choices"][0]["message"]["tool_calls"][0]["id"]
    del answer["id"]

    def once() -> str:
        session = opened(gateway, teach("openai", answer).model, "the same")
        Agent(session, "openai-chat").ask(stream=stream)
        return gateway.close_session(session).nodes[-1].tool_calls[0].id

    assert once() == once()


def test_a_function_call_of_old_is_a_call(teach: Opened) -> None:
    old = changed("openai", content=None, function_call={"name": "bash", "arguments": '{"command": "ls"}'})
    old["choices"][0]["finish_reason"] = "function_call"
    agent = Agent(teach("openai", old), "openai-chat").ask()
    assert agent.end == "tool_calls" and agent.arguments == {"command": "ls"} and agent.call


def unnamed(kind: str) -> dict[str, Any]:
    answer = says(kind, call="ls")
    if kind == "openai":
        answer["choices"][0]["message"]["tool_calls"][0]["function"]["name"] = None
    else:
        answer["content"][-1]["name"] = None
    return answer


BAD: dict[str, Callable[[str], Given]] = {
    "a call without a name": unnamed,
    "nothing": lambda kind: {},
    "null": lambda kind: (200, "null"),
    "a list": lambda kind: (200, "[]"),
    "no JSON": lambda kind: (200, "<html>busy</html>"),
    "an image": lambda kind: changed(kind, content=[{"type": "image_url", "image_url": {"url": "x"}}]),
    "no message": lambda kind: {"choices": [{"finish_reason": "stop"}], "usage": USAGE},
    "no choices": lambda kind: {"choices": [], "usage": USAGE},
    "a choice that is none": lambda kind: {"choices": [None]},
    "choices that are a number": lambda kind: {"choices": 3, "content": 3.5, "usage": 4, "stop_reason": []},
    "deep": lambda kind: (200, "[" * 100_000),
    "gave up": lambda kind: says("openai", finish="error") if kind == "openai" else {"type": "message"},
    "cut": lambda kind: chunks({"choices": [{"index": 0, "delta": {"content": "Do"}}]}, done=False),
    "gone": lambda kind: None,
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", list(BAD))
def test_an_answer_that_means_nothing_is_one_failed_call(
    teach: Opened, gateway: Gateway, kind: str, dialect: str, bad: str
) -> None:
    answer = BAD[bad](kind)
    tries = 6 if bad in ("null", "a list", "no JSON", "deep", "cut", "gone") else 1  # what may be whole the next time
    session = teach(kind, *[answer] * tries, says(kind))
    agent = Agent(session, dialect).ask()
    if bad.startswith("choices that") and kind == "anthropic":
        assert agent.text == "3.5", "a number is plain"
        return
    assert agent.status == 503 and agent.error[0]
    assert agent.ask().text == "Done.", "the session goes on"
    trace = gateway.close_session(session)
    assert [bool(call.error) for call in trace.calls] == [True, False] and trace.stop is None
    assert str(trace.calls[0].error).startswith("Unavailable: ") and trace.calls[0].node is None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_error_inside_an_answer_is_that_error(teach: Opened, dialect: str) -> None:
    wrapped = {"error": {"message": "no such thing", "code": 404}}
    agent = Agent(teach("openai", wrapped), dialect).ask()
    assert agent.status == 404 and agent.error[0] == "no such thing"
    event = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    assert Agent(teach("anthropic", chunks(event), says("anthropic")), dialect).ask().text == "Done."


def test_half_a_surrogate_pair_and_raw_newlines_are_read(teach: Opened, gateway: Gateway) -> None:
    text = json.dumps(says("openai", "a\ud83d b")).replace(" b", "\n b")
    session = teach("openai", (200, text))
    assert Agent(session, "openai-chat").ask().text == "a\ufffd\n b"
    assert (gateway.close_session(session).nodes[-1].message or {})["content"] == "a\ufffd\n b"


# ------------------------------------------------------------------ ends

FILTERED = {
    "openai-chat": "content_filter",
    "anthropic": "refusal",
    "openai-responses": ("incomplete", "content_filter"),
}
CUT = {"openai-chat": "length", "anthropic": "max_tokens", "openai-responses": ("incomplete", "max_output_tokens")}
WHOLE = {"openai-chat": "stop", "anthropic": "end_turn", "openai-responses": ("completed", None)}
ENDS: dict[str, dict[str, Any]] = {"refusal": FILTERED, "content_filter": FILTERED, "length": CUT, "stop": WHOLE}
WORDS = [
    ("openai", "content_filter", "content_filter"), ("openai", "SAFETY", "content_filter"),
    ("openai", "length", "length"), ("openai", "max_tokens", "length"), ("openai", "eos", "stop"),
    ("openai", "refusal", "refusal"), ("anthropic", "refusal", "refusal"), ("anthropic", "max_tokens", "length"),
    ("anthropic", "model_context_window_exceeded", "length"), ("anthropic", "pause_turn", "stop"),
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(("kind", "word", "recorded"), WORDS)
def test_ends_are_recorded_and_told(
    teach: Opened, gateway: Gateway, kind: str, word: str, recorded: str, dialect: str, stream: bool
) -> None:
    session = teach(kind, says(kind, "I can", finish=word))
    agent = Agent(session, dialect).ask(stream=stream)
    assert _end(agent, stream) == ENDS[recorded][dialect]
    (call,) = gateway.close_session(session).calls
    assert call.finish_reason == recorded


def _end(agent: Agent, stream: bool) -> Any:
    if not stream:
        return agent.end
    if agent.dialect == "openai-chat":
        return agent.answer[-1]["choices"][0]["finish_reason"]
    if agent.dialect == "anthropic":
        return next(event["delta"]["stop_reason"] for event in agent.answer if event["type"] == "message_delta")
    last = agent.answer[-1]["response"]
    assert agent.answer[-1]["type"] == f"response.{last['status']}"
    return last["status"], (last["incomplete_details"] or {}).get("reason")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_refusal_is_one_in_each_dialect(teach: Opened, gateway: Gateway, dialect: str, stream: bool) -> None:
    session = teach("openai", changed("openai", content=None, refusal="I won't."), says("openai"))
    agent = Agent(session, dialect).ask(stream=stream)
    if stream:
        told = json.dumps(agent.answer)
        kinds = {
            "openai-chat": '"refusal": "I won',
            "openai-responses": "response.refusal.delta",
            "anthropic": "refusal",
        }
        assert kinds[dialect] in told and "I won't." in told
    elif dialect == "openai-chat":
        message = agent.answer["choices"][0]["message"]
        assert (message["content"], message["refusal"], agent.end) == (None, "I won't.", "stop")
    elif dialect == "openai-responses":
        assert agent.answer["output"][0]["content"] == [{"type": "refusal", "refusal": "I won't."}]
        assert agent.end == ("completed", None)
    else:
        assert (agent.text, agent.end) == ("I won't.", "refusal")
    if not stream:
        assert agent.go_on("Why?").ask().text == "Done."
    trace = gateway.close_session(session)
    assert trace.calls[0].finish_reason == "refusal"
    assert (trace.nodes[trace.calls[0].node or 0].message or {})["content"] == "I won't."
    assert {node.lineage for node in trace.nodes} == {"main"}, "a refusal that comes back is the turn that it was"


def test_an_unknown_end_is_said(teach: Opened, gateway: Gateway) -> None:
    session = teach("openai", says("openai", finish="tired"))
    assert Agent(session, "openai-chat").ask().end == "stop"
    assert any("'tired'" in line for line in session.model.said())  # type: ignore[attr-defined]


# ------------------------------------------------------------------ streams that nobody asked for


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}], "usage": None}


def called(index: int | None, identity: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    place = {} if index is None else {"index": index}
    return delta(tool_calls=[{**place, "id": identity, "function": {"name": name, "arguments": arguments}}])


CHUNKS = [
    delta(role="assistant", content=""), delta(reasoning_content="h"), delta(reasoning_content="m"),
    delta(content="I "), delta(content="look."), called(0, "c1", "bash", ""), called(0, None, None, '{"command"'),
    called(0, None, "", ': "ls"}'), delta("tool_calls"),
    {"choices": [], "usage": {"prompt_tokens": "10", "completion_tokens": 2}},
]  # fmt: skip
CALL = {"type": "tool_use", "id": "c1", "name": "bash"}
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"usage": USAGE}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "S"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "ping"},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "I "}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "look."}},
    {"type": "content_block_start", "index": 2, "content_block": {**CALL, "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"command"'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": ': "ls"}'}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
]  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_as_events_is_put_together(teach: Opened, gateway: Gateway, kind: str, dialect: str) -> None:
    session = teach(kind, chunks(*CHUNKS) if kind == "openai" else chunks(*EVENTS, done=False))
    agent = Agent(session, dialect).ask()
    assert (agent.text, agent.call, agent.arguments) == ("I look.", "c1", {"command": "ls"})
    trace = gateway.close_session(session)
    assert (trace.nodes[-1].message or {})["reasoning_content"] == "hm"
    assert trace.calls[0].usage["prompt_tokens"] == 10 and trace.calls[0].finish_reason == "tool_calls"


def test_calls_without_an_index_are_told_apart_by_their_ids(teach: Opened) -> None:
    parts = [
        called(None, "a", "bash", '{"command"'),
        called(None, None, None, ': "ls"}'),
        called(None, "b", "bash", "{}"),
    ]
    agent = Agent(teach("openai", chunks(*parts, delta("tool_calls"))), "openai-chat").ask()
    assert list(agent._calls()) == [("a", {"command": "ls"}), ("b", {})]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_was_cut_is_asked_for_again(teach: Opened, kind: str) -> None:
    cut = chunks(*CHUNKS[:-2], done=False) if kind == "openai" else chunks(*EVENTS[:-2], done=False)
    assert Agent(teach(kind, cut, says(kind)), "openai-chat").ask().text == "Done."


def test_an_endpoint_that_only_streams_is_asked_to(teach: Opened) -> None:
    only = refuses("openai", 400, "This model only support stream mode, please enable the stream parameter.")
    session = teach("openai", only, chunks(*CHUNKS))
    assert Agent(session, "openai-chat").ask().text == "I look."
    assert any("one piece" in line for line in session.model.said())  # type: ignore[attr-defined]
