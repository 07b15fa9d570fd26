"""What teachers are sent: all that they may know of an agent's request, and what they themselves said before.

The conversation's tree is none the wiser: marks that move from turn to turn make no branch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from katcore.gateway.server import Gateway
from katcore.gateway.session import Session
from tests.support.scripted_endpoint import Endpoint
from tests.support.teachers import DIALECTS, KINDS, SCHEMA, Agent, chunks, refuses, says

Taught = Callable[..., tuple[Session, Endpoint]]
MARK = {"type": "ephemeral"}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "SIG"}
HIDDEN = {"type": "redacted_thinking", "data": "XXXX"}
DETAILS = [{"type": "reasoning.text", "text": "hm", "signature": "SIG", "index": 0}]


def assistants(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [message for message in body["messages"] if message["role"] == "assistant"]


# ------------------------------------------------------------------ reasoning

NAMES: list[dict[str, Any]] = [
    {"reasoning_content": "hm"}, {"reasoning": "hm"}, {"reasoning": "hm", "reasoning_details": DETAILS},
]  # fmt: skip


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("wrote", NAMES)
def test_reasoning_goes_back_as_the_endpoint_wrote_it(
    taught: Taught, gateway: Gateway, wrote: dict[str, Any], dialect: str, stream: bool
) -> None:
    session, served = taught("openai", says("openai", "I look.", call="ls", **wrote), says("openai"))
    agent = Agent(session, dialect).ask()
    if stream:  # in which clients get no more than the text of it
        agent.answer = _without_reasoning(agent)
    agent.go_on().ask()
    (sent,) = assistants(served.requests[1])
    found = {name: sent[name] for name in ("reasoning_content", "reasoning", "reasoning_details") if name in sent}
    assert found == wrote and sent["tool_calls"][0]["id"] == "call_ls"
    trace = gateway.close_session(session)
    assert {node.lineage for node in trace.nodes} == {"main"}
    assert (trace.nodes[trace.calls[0].node or 0].message or {})["reasoning_content"] == "hm"


def _without_reasoning(agent: Agent) -> Any:
    """The answer as a client keeps it that drops reasoning."""
    if agent.dialect == "openai-chat":
        message = agent.answer["choices"][0]["message"]
        kept = {name: message[name] for name in ("role", "content", "tool_calls")}
        return {"choices": [{"message": kept}]}
    name = "content" if agent.dialect == "anthropic" else "output"
    return {name: [item for item in agent.answer[name] if item["type"] not in ("thinking", "reasoning")]}


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_thinking_goes_back_with_its_signature(taught: Taught, dialect: str, kept: bool) -> None:
    first = says("anthropic", "I look.", call="ls", thinking=[SIGNED, HIDDEN])
    session, served = taught("anthropic", first, says("anthropic"))
    agent = Agent(session, dialect).ask()
    agent.answer = agent.answer if kept else _without_reasoning(agent)
    agent.go_on().ask()
    (sent,) = assistants(served.requests[1])
    assert sent["content"] == first["content"]


def test_thinking_between_text_and_calls_keeps_its_place(taught: Taught) -> None:
    first = says("anthropic", "I look.", call="ls", thinking=[SIGNED])
    first["content"].insert(2, {**SIGNED, "thinking": "and", "signature": "SECOND"})
    session, served = taught("anthropic", first, says("anthropic"))
    Agent(session, "openai-chat").ask().go_on().ask()
    assert assistants(served.requests[1])[0]["content"] == first["content"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_thinking_that_a_stream_lost_is_not_sent_unsigned(taught: Taught, dialect: str) -> None:
    session, served = taught("anthropic", says("anthropic", thinking=[SIGNED]), says("anthropic"))
    agent = Agent(session, dialect).ask()
    if dialect == "anthropic":
        agent.answer["content"][0] = {**SIGNED, "signature": ""}  # as it comes out of our own events
    agent.go_on().ask()
    assert assistants(served.requests[1])[0]["content"][0] == SIGNED


def test_what_an_agent_changed_goes_without_thinking(taught: Taught) -> None:
    session, served = taught("anthropic", says("anthropic", thinking=[SIGNED]), says("anthropic"))
    agent = Agent(session, "anthropic").ask()
    agent.answer["content"] = [{**SIGNED, "signature": ""}, {"type": "text", "text": "Something else."}]
    agent.go_on().ask()
    assert assistants(served.requests[1])[0]["content"] == [{"type": "text", "text": "Something else."}]


def test_a_turn_in_a_shortened_history_keeps_its_thinking(taught: Taught) -> None:
    first = says("anthropic", "I look.", call="ls", thinking=[SIGNED])
    session, served = taught("anthropic", first, says("anthropic"))
    agent = Agent(session, "openai-chat").ask()
    agent.answer = _without_reasoning(agent)
    agent.go_on()
    agent.turns[0] = {"role": "user", "content": "Summary: fix it."}
    agent.ask()
    assert assistants(served.requests[1])[0]["content"] == first["content"]


# ------------------------------------------------------------------ caching


def marked(dialect: str, text: str) -> dict[str, Any]:
    part: dict[str, Any] = {"type": "text", "text": text, "cache_control": MARK}
    return {"role": "user", "content": [part]}


@pytest.mark.parametrize("dialect", ["openai-chat", "anthropic"])
@pytest.mark.parametrize("kind", KINDS)
def test_cache_marks_reach_the_endpoint_and_not_the_tree(
    taught: Taught, gateway: Gateway, kind: str, dialect: str
) -> None:
    """As agents do it: on the system prompt, the tools, and the last message, from which the mark moves on."""
    system = [{"type": "text", "text": "You are an agent.", "cache_control": MARK}]
    tool: dict[str, Any] = {"name": "bash", "description": "Run it."}
    if dialect == "anthropic":
        more: dict[str, Any] = {"system": system, "tools": [{**tool, "input_schema": SCHEMA, "cache_control": MARK}]}
    else:
        function = {"type": "function", "function": {**tool, "parameters": SCHEMA}, "cache_control": MARK}
        more = {"tools": [function]}
    session, served = taught(kind, says(kind, "I look."), says(kind), says(kind))
    agent = Agent(session, dialect, **more)
    head = [] if dialect == "anthropic" else [{"role": "system", "content": system}]
    turns: list[dict[str, Any]] = []
    for text in ("Fix it.", "Go on.", "And?"):
        agent.turns = [*head, *turns, marked(dialect, text)]
        agent.ask()
        said = {"role": "assistant", "content": agent.text}
        turns = [*turns, {"role": "user", "content": [{"type": "text", "text": text}]}, said]
    for number, body in enumerate(served.requests):
        opening = body["system"] if kind == "anthropic" else body["messages"][0]["content"]
        assert opening[-1] == system[0]
        *earlier, last = body["messages"]
        assert last["content"][-1]["cache_control"] == MARK and len(earlier) >= 2 * number
        assert "cache_control" not in json.dumps([each for each in earlier if each["role"] != "system"])
        native = (kind, dialect) != ("openai", "anthropic")
        assert ("cache_control" in json.dumps(body["tools"])) == native
    trace = gateway.close_session(session)
    assert {node.lineage for node in trace.nodes} == {"main"} and len(trace.nodes) == 7
    if dialect == "anthropic":
        assert "cache_control" not in json.dumps([node.message for node in trace.nodes])


def test_the_attribution_line_that_changes_each_time_does_not_go_out(taught: Taught) -> None:
    line = {"type": "text", "text": "x-anthropic-billing-header: cc_version=1"}
    session, served = taught("anthropic", says("anthropic"))
    Agent(session, "anthropic", system=[line, {"type": "text", "text": "You are."}]).ask()
    assert served.requests[0]["system"] == [{"type": "text", "text": "You are."}]


# ------------------------------------------------------------------ other fields

NATIVE = [
    ("openai", "openai-chat", {"seed": 3, "reasoning_effort": "low", "user": "u", "chat_template_kwargs": {"a": 1}}),
    ("openai", "openai-chat", {"response_format": {"type": "json_object"}, "parallel_tool_calls": False, "top_k": 4}),
    ("openai", "openai-chat", {"prompt_cache_key": "k", "some_new_field": [1]}),
    ("anthropic", "anthropic", {"metadata": {"user_id": "u"}, "service_tier": "auto", "top_k": 4, "new_field": {}}),
    ("anthropic", "anthropic", {"output_config": {"effort": "low"}, "context_management": {"edits": []}}),
    ("anthropic", "anthropic", {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}),
]


@pytest.mark.parametrize(("kind", "dialect", "fields"), NATIVE)
def test_fields_of_the_same_api_pass_through(taught: Taught, kind: str, dialect: str, fields: dict[str, Any]) -> None:
    session, served = taught(kind, says(kind))
    assert Agent(session, dialect, **fields).ask().text == "Done."
    assert {name: served.requests[0].get(name) for name in fields} == fields
    assert served.requests[0]["model"] == "big" and "stream" not in served.requests[0]


def test_fields_of_tools_pass_through(taught: Taught) -> None:
    tool = {"name": "bash", "input_schema": SCHEMA, "input_examples": [{"command": "ls"}], "defer_loading": False}
    session, served = taught("anthropic", says("anthropic"))
    Agent(session, "anthropic", tools=[tool]).ask()
    assert served.requests[0]["tools"] == [tool]


def test_responses_agents_have_their_wishes_said_in_chats_words(taught: Taught) -> None:
    form = {"type": "json_schema", "name": "n", "schema": SCHEMA, "strict": True}
    fields = {"reasoning": {"effort": "high", "summary": "auto"}, "text": {"verbosity": "low", "format": form}}
    session, served = taught("openai", says("openai"))
    Agent(session, "openai-responses", **fields, parallel_tool_calls=True, prompt_cache_key="k", store=False).ask()
    sent = served.requests[0]
    schema = {"name": "n", "schema": SCHEMA, "strict": True}
    assert (sent["reasoning_effort"], sent["verbosity"], sent["prompt_cache_key"]) == ("high", "low", "k")
    assert sent["response_format"] == {"type": "json_schema", "json_schema": schema} and "store" not in sent


def test_a_format_crosses_from_one_api_to_the_other(taught: Taught) -> None:
    session, served = taught("anthropic", says("anthropic"))
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
    Agent(session, "openai-chat", response_format=form, parallel_tool_calls=False).ask()
    assert served.requests[0]["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert served.requests[0]["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    session, served = taught("openai", says("openai"))
    config = {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}}
    Agent(session, "anthropic", output_config=config).ask()
    assert served.requests[0]["response_format"]["json_schema"]["schema"] == SCHEMA
    assert served.requests[0]["reasoning_effort"] == "low"


PIXEL, AFAR = "data:image/png;base64,AAAA", "https://example.org/a.png"
IMAGES: list[dict[str, Any]] = [
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
    {"type": "image", "source": {"type": "url", "url": AFAR}},
]


@pytest.mark.parametrize("dialect", ["openai-chat", "openai-responses"])
def test_images_reach_an_endpoint_that_has_another_form_for_them(taught: Taught, dialect: str) -> None:
    session, served = taught("anthropic", says("anthropic", "I look.", call="ls"), says("anthropic"))
    agent, text = Agent(session, dialect), {"type": "text", "text": "See:"}
    shown: list[Any] = [{"type": "image_url", "image_url": {"url": url}} for url in (PIXEL, AFAR)]
    if dialect == "openai-responses":
        shown, text = (
            [{"type": "input_image", "image_url": url} for url in (PIXEL, AFAR)],
            {**text, "type": "input_text"},
        )
    agent.turns = [{"role": "user", "content": [text, *shown]}]
    agent.ask().go_on()
    agent.turns[-1]["content" if dialect == "openai-chat" else "output"] = [text, shown[0]]
    agent.ask()
    first, last = served.requests[0]["messages"][0], served.requests[1]["messages"][-1]
    assert first["content"] == [{"type": "text", "text": "See:"}, *IMAGES]
    assert last["content"][0]["content"] == [{"type": "text", "text": "See:"}, IMAGES[0]]


def test_what_another_api_has_no_place_for_is_said(taught: Taught) -> None:
    session, served = taught("openai", says("openai"))
    Agent(session, "anthropic", thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=4000).ask()
    assert "thinking" not in served.requests[0]
    assert any("thinking" in line for line in session.model.said())  # type: ignore[attr-defined]


OUTSIDE = [
    ("openai", "openai-chat", "web_search_options", {}), ("openai", "openai-chat", "plugins", [{"id": "web"}]),
    ("openai", "openai-chat", "search_parameters", {"mode": "on"}), ("openai", "openai-chat", "models", ["a"]),
    ("anthropic", "anthropic", "mcp_servers", [{"type": "url", "url": "https://x"}]),
    ("anthropic", "anthropic", "container", "c"), ("openai", "anthropic", "mcp_servers", [{"type": "url"}]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "dialect", "name", "value"), OUTSIDE)
def test_what_would_act_outside_of_the_box_stays_inside(
    taught: Taught, kind: str, dialect: str, name: str, value: Any
) -> None:
    session, served = taught(kind, says(kind))
    assert Agent(session, dialect, **{name: value}).ask().text == "Done."
    assert name not in served.requests[0]
    if value:
        assert any(name in line for line in session.model.said())  # type: ignore[attr-defined]


def test_the_providers_own_tools_stay_inside(taught: Taught) -> None:
    web: dict[str, Any] = {"type": "web_search_20250305", "name": "web_search"}
    tool: dict[str, Any] = {"name": "bash", "input_schema": SCHEMA}
    session, served = taught("anthropic", says("anthropic"))
    used = [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, {"type": "text", "text": "x"}]
    agent = Agent(session, "anthropic", tools=[web, tool])
    agent.turns += [{"role": "assistant", "content": used}, {"role": "user", "content": "Go on."}]
    assert agent.ask().text == "Done."
    assert served.requests[0]["tools"] == [tool] and "web_search" not in json.dumps(served.requests[0])


def test_betas_are_passed_on_until_they_are_refused(taught: Taught) -> None:
    refusal = refuses("anthropic", 400, "Unexpected value(s) `new-1` for the `anthropic-beta` header.")
    session, served = taught("anthropic", says("anthropic"), refusal, says("anthropic"))
    agent = Agent(session, "anthropic")
    agent.headers = {"anthropic-beta": "new-1"}
    assert agent.ask().go_on().ask().text == "Done."
    agent.go_on().ask()
    sent = [{name.lower(): value for name, value in headers.items()} for headers in served.headers]
    assert [headers.get("anthropic-beta") for headers in sent] == ["new-1", "new-1", None, None]
    assert all(headers["x-api-key"] == "key-of-the-teacher" for headers in sent)


@pytest.mark.parametrize(("limit", "budget"), [(4000, 2000), (1500, 1024), (1024, None)])
def test_thinking_has_room_in_a_lowered_limit(taught: Taught, limit: int, budget: int | None) -> None:
    session, served = taught("anthropic", says("anthropic"))
    Agent(session, "anthropic", thinking={"type": "enabled", "budget_tokens": 31999}, max_tokens=limit).ask()
    thinking = served.requests[0].get("thinking")
    assert (thinking or {}).get("budget_tokens") == budget and "temperature" not in served.requests[0]


# ------------------------------------------------------------------ tools


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("schema", [None, {}, {"properties": {}}])
def test_tools_without_parameters_have_a_schema_where_one_is_wanted(taught: Taught, dialect: str, schema: Any) -> None:
    name = "input_schema" if dialect == "anthropic" else "parameters"
    tool: dict[str, Any] = {"name": "now"} if schema is None else {"name": "now", name: schema}
    if dialect == "openai-chat":
        tool = {"type": "function", "function": tool}
    elif dialect == "openai-responses":
        tool = {"type": "function", **tool}
    session, served = taught("anthropic", says("anthropic"))
    assert Agent(session, dialect, tools=[tool]).ask().text == "Done."
    assert served.requests[0]["tools"][0]["input_schema"] == {"type": "object", "properties": {}}


def test_ids_that_another_api_would_refuse_are_written_so_that_it_takes_them(taught: Taught) -> None:
    session, served = taught("anthropic", says("anthropic"))
    agent = Agent(session, "openai-chat")
    call = {"id": "functions.bash:0", "type": "function", "function": {"name": "bash", "arguments": "{}"}}
    agent.turns += [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "functions.bash:0", "content": ""},
    ]
    agent.ask()
    *_, turn, result = served.requests[0]["messages"]
    assert turn["content"][0]["id"] == result["content"][0]["tool_use_id"] == "functions_bash_0"


# ------------------------------------------------------------------ what an endpoint refuses

REFUSED = [
    ("openai", {"seed": 3}, "seed", "Unsupported parameter: 'seed' is not supported with this model."),
    ("openai", {"temperature": 0.25}, "temperature",
     "Unsupported value: 'temperature' does not support 0.25 with this model. Only the default (1) is supported."),
    ("openai", {"user": "u"}, "user", "Unrecognized request argument supplied: user"),
    ("openai", {"top_k": 4}, "top_k", "Unknown parameter: 'top_k'."),
    ("openai", {"some_field": 1}, "some_field", 'Invalid JSON payload. Unknown name "some_field": Cannot find field.'),
    ("openai", {"some_field": 1}, "some_field", "Extra inputs are not permitted, field: 'some_field'"),
    ("openai", {"reasoning_effort": "low"}, "reasoning_effort", "property 'reasoning_effort' is unsupported"),
    ("openai", {"reasoning_effort": "low"}, "reasoning_effort", "This model does not support reasoning_effort."),
    ("anthropic", {"context_management": {}}, "context_management", "context_management: Extra inputs not permitted"),
    ("anthropic", {"top_k": 4}, "top_k", "`top_k` is deprecated for this model"),
    ("anthropic", {"thinking": {"type": "adaptive"}}, "thinking", "adaptive thinking is not supported on this model"),
    ("anthropic", {"top_p": 0.5, "temperature": 0.5}, "top_p",
     "`temperature` and `top_p` cannot both be specified for this model. Please use only one."),
]  # fmt: skip


@pytest.mark.parametrize("status", [400, 422])
@pytest.mark.parametrize(("kind", "fields", "name", "said"), REFUSED)
def test_a_field_that_is_refused_is_left_out_from_then_on(
    taught: Taught, gateway: Gateway, kind: str, fields: dict[str, Any], name: str, said: str, status: int
) -> None:
    session, served = taught(kind, refuses(kind, status, said), says(kind))
    dialect = "anthropic" if kind == "anthropic" else "openai-chat"
    agent = Agent(session, dialect, **fields).ask()
    assert agent.text == "Done." and [name in body for body in served.requests] == [True, False]
    agent.go_on().ask()
    assert name not in served.requests[2] and len(served.requests) == 3, "it is asked once for the whole run"
    lines = session.model.said()  # type: ignore[attr-defined]
    assert any(name in line and said[:20] in line for line in lines), "and the run says so"
    assert not any(call.error for call in gateway.close_session(session).calls)


def test_of_two_that_cannot_both_be_one_stays(taught: Taught) -> None:
    refusal = refuses("anthropic", 400, "`temperature` and `top_p` cannot both be specified for this model.")
    session, served = taught("anthropic", refusal, says("anthropic"))
    assert Agent(session, "anthropic", temperature=0.5, top_p=0.5).ask().text == "Done."
    assert served.requests[1]["temperature"] == 0.5 and "top_p" not in served.requests[1]


def test_details_of_lists_name_fields_too(taught: Taught) -> None:
    detail = {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]}
    session, served = taught("openai", (422, json.dumps(detail)), says("openai"))
    assert Agent(session, "openai-chat", seed=3, user="u").ask().text == "Done."
    assert "seed" not in served.requests[1] and "user" in served.requests[1]


INSIDE = [
    ("openai", "Unknown parameter: 'messages[0].content[0].cache_control'."),
    ("openai", "'messages.0' : property 'cache_control' is unsupported"),
    ("openai", '[{"loc":["body","messages",0,"content",0,"cache_control"],"msg":"Extra inputs are not permitted"}]'),
    ("anthropic", "messages.0.content.0.text.cache_control: Extra inputs are not permitted"),
]


@pytest.mark.parametrize(("kind", "said"), INSIDE)
def test_a_field_of_messages_that_is_refused_is_left_out_there(taught: Taught, kind: str, said: str) -> None:
    session, served = taught(kind, refuses(kind, 400, said), says(kind))
    agent = Agent(session, "anthropic" if kind == "anthropic" else "openai-chat")
    agent.turns = [marked(agent.dialect, "Fix it.")]
    assert agent.ask().text == "Done."
    assert ["cache_control" in json.dumps(body) for body in served.requests] == [True, False]
    assert served.requests[1]["messages"][0]["content"] == [{"type": "text", "text": "Fix it."}]


def test_reasoning_that_an_endpoint_does_not_want_back_stays_here(taught: Taught, gateway: Gateway) -> None:
    first = says("openai", "I look.", call="ls", reasoning_content="hm")
    refusal = refuses("openai", 400, "reasoning_content is not supported in messages[1]")
    session, served = taught("openai", first, refusal, says("openai"))
    assert Agent(session, "openai-chat").ask().go_on().ask().text == "Done."
    assert ["reasoning_content" in json.dumps(body) for body in served.requests] == [False, True, False]
    assert (gateway.close_session(session).nodes[1].message or {})["reasoning_content"] == "hm"


def test_the_limits_older_name_is_tried(taught: Taught) -> None:
    refusal = refuses("openai", 400, "Unrecognized request argument supplied: max_completion_tokens")
    session, served = taught("openai", refusal, says("openai"))
    Agent(session, "openai-chat", max_tokens=77).ask()
    assert served.requests[0]["max_completion_tokens"] == served.requests[1]["max_tokens"] == 77
    assert "max_completion_tokens" not in served.requests[1]


def test_ways_of_writing_that_are_refused_are_changed(taught: Taught) -> None:
    variant = "messages[0].role: unknown variant `developer`, expected one of `system`, `user`, `assistant`, `tool`"
    parts = "Failed to deserialize: messages[1].content: invalid type: sequence, expected a string"
    session, served = taught("openai", refuses("openai", 422, variant), refuses("openai", 422, parts), says("openai"))
    agent = Agent(session, "openai-chat")
    agent.turns = [{"role": "developer", "content": "Be."}, marked("openai-chat", "Fix it.")]
    assert agent.ask().text == "Done."
    opening, user = served.requests[2]["messages"]
    assert opening == {"role": "system", "content": "Be."} and user == {"role": "user", "content": "Fix it."}


KEPT = [
    ({"response_format": {"type": "json_object"}}, "Unsupported parameter: 'response_format' is not supported."),
    ({"tool_choice": "required"}, "`tool_choice` is not supported with thinking"),
    ({}, "'tools' is not supported by this model"),
    ({"stop": ["x"]}, "Unknown parameter: 'stop'"),
    ({"seed": 3}, "seed must be positive"),
    ({"user": "u"}, "messages.1.role: unexpected role"),
]


@pytest.mark.parametrize(("fields", "said"), KEPT)
def test_what_an_agent_cannot_do_without_is_not_left_out(taught: Taught, fields: dict[str, Any], said: str) -> None:
    session, served = taught("openai", refuses("openai", 400, said))
    agent = Agent(session, "openai-chat", **fields).ask()
    assert agent.status == 400 and agent.error[0] == said and len(served.requests) == 1


def test_a_refusal_that_repeats_itself_is_the_agents(taught: Taught) -> None:
    session, served = taught("openai", refuses("openai", 400, "Unknown parameter: 'seed'."))
    assert Agent(session, "openai-chat", seed=3).ask().status == 400 and len(served.requests) == 2


def test_streams_carry_signatures_of_thinking_to_nobody_else(taught: Taught) -> None:
    """A streamed answer of a teacher's ends as a whole one does, and its thinking is found again."""
    session, served = taught("anthropic", says("anthropic", "I look.", thinking=[SIGNED]), says("anthropic"))
    agent = Agent(session, "anthropic").ask(stream=True)
    text = [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "I look."}]
    agent.turns += [{"role": "assistant", "content": text}, {"role": "user", "content": "Go on."}]
    agent.ask()
    assert assistants(served.requests[1])[0]["content"] == [SIGNED, text[1]]


def test_a_stream_of_a_teachers_is_asked_for_whole(taught: Taught) -> None:
    session, served = taught("openai", chunks({"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}]}))
    Agent(session, "openai-chat", stream_options={"include_usage": True}).ask(stream=True)
    assert "stream" not in served.requests[0] and "stream_options" not in served.requests[0]
