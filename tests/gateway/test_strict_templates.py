"""Templates that insist: on one system message, on its place, on turns that alternate, on mappings as arguments."""

from __future__ import annotations

import json
from typing import Any

import pytest

from katcore.gateway.prepared import Expressible
from katcore.gateway.server import Gateway
from katcore.gateway.session import Session
from katcore.model.folder import ChatModel, load
from katcore.model.template import ChatTemplate
from tests.support.gateway_fakes import FakeEngine, Socket, opened, say

CALLS = """{%- for c in m.tool_calls %}{{- '\n<tool_call>\n{"name": "' + c.function.name + '", "arguments": ' }}
{{- c.function.arguments | tojson + '}\n</tool_call>' }}{%- endfor %}"""
ITEMS = """{%- for c in m.tool_calls %}{{- '\n<tool_call>\n' + c.function.name }}
{%- for key, value in c.function.arguments.items() %}{{- '\n' + key + '=' + value | string }}{%- endfor %}
{{- '\n</tool_call>' }}{%- endfor %}"""
TURN = "{{- '<|im_start|>' + m.role + '\n' + m.content }}%s{{- '<|im_end|>\n' }}"
END = "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"

FIRST_ALONE = (
    """{%- for m in messages %}{%- if m.role == 'system' and not loop.first %}
{{- raise_exception('System message must be at the beginning.') }}{%- endif %}"""
    + TURN % CALLS
    + "{%- endfor %}"
    + END
)
ALTERNATING = (
    """{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- set rest = messages[1:] %}{%- else %}{%- set rest = messages %}{%- endif %}
{%- for m in rest %}{%- if m.role != 'tool' and (m.role == 'user') != (loop.index0 % 2 == 0) %}
{{- raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif %}"""
    + TURN % CALLS
    + "{%- endfor %}"
    + END
)
NO_SYSTEM = (
    """{%- for m in messages %}{%- if m.role == 'system' %}{{- raise_exception('System role not supported') }}
{%- endif %}"""
    + TURN % CALLS
    + "{%- endfor %}"
    + END
)
DROPPING = (
    "{%- for m in messages %}{%- if m.role != 'system' or loop.first %}"
    + TURN % CALLS
    + "{%- endif %}{%- endfor %}"
    + END
)
LENIENT = "{%- for m in messages %}" + TURN % CALLS + "{%- endfor %}" + END
MAPPINGS = "{%- for m in messages %}" + TURN % ITEMS + "{%- endfor %}" + END

TOOLS = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]
SYSTEM, USER = {"role": "system", "content": "Be an agent."}, {"role": "user", "content": "Fix it."}


def chat_of(source: str) -> ChatModel:
    small = load()
    return ChatModel(small.folder, small.tokenizer, ChatTemplate({"default": source}, {}))


def roles(messages: list[dict[str, Any]]) -> list[str]:
    return [message["role"] for message in messages]


SECOND = {"role": "system", "content": "Be brief."}
LATER = {"role": "developer", "content": "The plan changed."}
ANSWER = {"role": "assistant", "content": "Yes."}


@pytest.mark.parametrize(
    ("source", "given", "expected"),
    [
        (LENIENT, [SYSTEM, SECOND, USER, USER], ["system", "system", "user", "user"]),
        (FIRST_ALONE, [SYSTEM, SECOND, USER], ["system", "user"]),
        (FIRST_ALONE, [SYSTEM, USER, ANSWER, LATER, USER], ["system", "user", "assistant", "user", "user"]),
        (FIRST_ALONE, [SYSTEM, USER, ANSWER, USER], ["system", "user", "assistant", "user"]),
        (ALTERNATING, [SYSTEM, USER, USER, ANSWER, LATER, USER], ["system", "user", "assistant", "user"]),
        (NO_SYSTEM, [SYSTEM, USER], ["user", "user"]),
        (DROPPING, [SYSTEM, USER, ANSWER, LATER], ["system", "user", "assistant", "user"]),
    ],
)
def test_all_that_is_said_is_rendered(source: str, given: list[dict[str, Any]], expected: list[str]) -> None:
    chat = chat_of(source)
    found = Expressible(chat).prepared(given)
    assert roles(found) == expected
    text = chat.render(found, add_generation_prompt=True)
    for message in given:
        assert message["content"] in text
    assert [role for each in found for role in each.get("folded", [each["role"]])] == roles(given), (
        "as it was is recorded"
    )


def test_what_the_template_can_express_is_left_as_it_is() -> None:
    messages = [SYSTEM, SECOND, USER, USER, ANSWER, LATER]
    assert Expressible(load()).prepared(messages) is messages


@pytest.mark.parametrize("source", [FIRST_ALONE, ALTERNATING, NO_SYSTEM, DROPPING])
def test_a_conversation_stays_one_path(gateway: Gateway, source: str) -> None:
    """What is folded is folded in the same way at each call, so that known tokens stay."""
    engine = FakeEngine(lambda n: f"answer {n}", chat=chat_of(source))
    session = opened(gateway, engine)
    messages: list[dict[str, Any]] = [SYSTEM, SECOND, USER]
    for number in range(3):
        messages.append(say(session, messages))
        messages += [LATER, {"role": "user", "content": f"And {number}?"}]
    trace = gateway.close_session(session)
    assert {node.lineage for node in trace.nodes} == {"main"}
    for (before, sampled), (after, _) in zip(engine.seen, engine.seen[1:]):
        assert after[: len(before) + len(sampled)] == before + sampled
    recorded = [node.message or {} for node in trace.nodes]
    assert any(message.get("folded") for message in recorded)


def test_developer_items_after_instructions(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: "Done.", chat=chat_of(FIRST_ALONE))
    session = opened(gateway, engine)
    items = [{"role": "developer", "content": "Use tools."}, {"role": "user", "content": "Fix it."}]
    connection = Socket(str(session.socket))
    body = json.dumps({"instructions": "Be an agent.", "input": items})
    connection.request("POST", "/v1/responses", body, {"x-api-key": session.key})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    connection.close()
    text = engine.chat.decode(engine.seen[0][0])
    assert text.startswith("<|im_start|>system\nBe an agent.\n\nUse tools.<|im_end|>")


ARGUMENTS = ["null", "[1]", "{bad", "5", '"text"', "", '{"command": "ls"}']


@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("source", [LENIENT, MAPPINGS, ALTERNATING])
def test_arguments_that_are_no_mapping_reach_no_template(gateway: Gateway, source: str, arguments: str) -> None:
    """In a history that the agent brings along."""
    engine = FakeEngine(lambda n: "Done.", chat=chat_of(source))
    call = {"id": "c1", "type": "function", "function": {"name": "bash", "arguments": arguments}}
    history = [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "no"},
    ]
    assert say(opened(gateway, engine), history, tools=TOOLS)["content"] == "Done."


@pytest.mark.parametrize(
    "body", ['{"name": "bash", "arguments": null}', '{"name": "bash", "arguments": [1]}', "{bad", "5"]
)
@pytest.mark.parametrize("source", [LENIENT, MAPPINGS])
def test_a_malformed_call_that_was_sampled_is_invalid_and_the_agent_goes_on(
    gateway: Gateway, source: str, body: str
) -> None:
    said = f"<tool_call>\n{body}\n</tool_call>"
    engine = FakeEngine(lambda n: said if n == 0 else "Done.", chat=chat_of(source))
    session: Session = opened(gateway, engine)
    first = say(session, [USER], tools=TOOLS)
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "Cannot read this."} for call in first["tool_calls"]
    ]
    assert say(session, [USER, first, *results], tools=TOOLS)["content"] == "Done."
    trace = gateway.close_session(session)
    (call,) = trace.nodes[trace.calls[0].node or 0].tool_calls
    assert (call.outcome, call.outcome_by) == ("invalid_arguments", "parser")
    known = engine.seen[0][0] + engine.seen[0][1]
    assert engine.seen[1][0][: len(known)] == known
