"""What a branch is called, by what agents were seen to send: summaries in several forms, notes, threads."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from katcore.gateway.journal import read_journal
from katcore.gateway.server import Gateway
from katcore.gateway.session import Session
from katcore.records import Call, Node, Scaffold, Trajectory
from katcore.trajectory.paths import Paths
from tests.support.gateway_fakes import CAPS, FakeEngine, Socket, bash_call, opened, post, say

TOOLS = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]
SYSTEM = {"role": "system", "content": "You are an agent."}
USER = {"role": "user", "content": "Fix it."}
COMMANDS = ["cat src/module_one.py", "grep -n value src/two.py", "pytest -q tests/test_two.py"]
Message = dict[str, Any]


def worked(gateway: Gateway, calls: int = 3) -> tuple[Session, list[Message], FakeEngine]:
    """An agent that has made some calls, and whose model says `Done.` from then on."""
    engine = FakeEngine(lambda n: bash_call(COMMANDS[n]) if n < calls else "Done.")
    session = opened(gateway, engine)
    messages: list[Message] = [SYSTEM, USER]
    for number in range(calls):
        answer = say(session, messages, tools=TOOLS)
        result = {"role": "tool", "tool_call_id": answer["tool_calls"][0]["id"], "content": f"[exit 0]\nout {number}"}
        messages += [answer, result]
    return session, messages, engine


def boundary(gateway: Gateway, session: Session) -> tuple[str, str]:
    """Of the last call's branch."""
    trace = gateway.close_session(session)
    node: Node | None = trace.nodes[trace.calls[-1].node or 0]
    lineage = node.lineage if node else ""
    first = next(each for each in trace.nodes if each.lineage == lineage)
    return first.boundary, lineage.partition("-")[0]


SUMMARY = "The value in src/module_one.py was read, the test fails still."


def quoting() -> list[Message]:
    """A request without tools that quotes what was sampled."""
    lines = [f"[Assistant tool call]: bash({json.dumps({'command': command})})" for command in COMMANDS]
    asked = {"role": "user", "content": "Summarise:\n<conversation>\n[User]: Fix it.\n" + "\n".join(lines)}
    return [{"role": "system", "content": "You write summaries."}, asked]


def summarised(gateway: Gateway) -> tuple[Session, list[Message]]:
    """An agent that has worked, and a call beside that work that quotes it."""
    engine = FakeEngine(lambda n: bash_call(COMMANDS[n]) if n < 3 else SUMMARY if n == 3 else "Done.")
    session = opened(gateway, engine)
    messages: list[Message] = [SYSTEM, USER]
    for number in range(3):
        answer = say(session, messages, tools=TOOLS)
        result = {"role": "tool", "tool_call_id": answer["tool_calls"][0]["id"], "content": f"[exit 0]\nout {number}"}
        messages += [answer, result]
    assert say(session, quoting())["content"] == SUMMARY
    return session, messages


def main_of(nodes: list[Node], calls: list[Call]) -> list[str]:
    """What the main path says, which conversions write and trims keep."""
    scaffold = Scaffold(name="s")
    made = Trajectory(id="t", task_id="t", group_id="t", scaffold=scaffold, model="m", nodes=nodes, calls=calls)
    return [str((node.message or {}).get("content")) for node in Paths(made).main]


@pytest.mark.parametrize("opening", [SYSTEM, {"role": "system", "content": "You are an agent. It is noon."}])
def test_a_summary_that_later_calls_go_on_from_is_a_compaction(gateway: Gateway, opening: Message) -> None:
    session, _ = summarised(gateway)
    say(session, [opening, {"role": "user", "content": f"So far: {SUMMARY} Go on."}], tools=TOOLS)
    trace = gateway.close_session(session)
    asked = [trace.nodes[call.node or 0] for call in trace.calls]
    assert [node.lineage.partition("-")[0] for node in asked] == ["main"] * 3 + ["compaction"] * 2
    assert main_of(trace.nodes, trace.calls)[-1] == "Done."


def test_a_summary_that_nobody_goes_on_from_is_a_side_call(gateway: Gateway) -> None:
    """A commit's message quotes the work too, and is the last call."""
    session, messages = summarised(gateway)
    trace = gateway.close_session(session)
    assert (trace.nodes[-1].lineage.partition("-")[0], trace.nodes[-3].boundary) == ("title", "title")
    assert len(main_of(trace.nodes, trace.calls)) == len(messages) - 1, "all but the result that nobody was shown"


def test_a_side_call_of_an_older_record_is_not_the_main_path(gateway: Gateway) -> None:
    session, messages = summarised(gateway)
    trace = gateway.close_session(session)
    for node in trace.nodes[-3:]:
        node.lineage, node.boundary = "compaction-9", "compaction" if node.parent is None else "none"
    assert len(main_of(trace.nodes, trace.calls)) == len(messages) - 1


def test_what_is_a_side_call_in_the_end_is_in_the_journal(gateway: Gateway) -> None:
    session, _ = summarised(gateway)
    trace = gateway.close_session(session)
    found = read_journal(session.journal.path)
    assert [(node.lineage, node.boundary) for node in found.nodes] == [(n.lineage, n.boundary) for n in trace.nodes]


def test_a_title_knows_what_the_user_said_and_maybe_the_first_answer(gateway: Gateway) -> None:
    session, _, _ = worked(gateway)
    asked = {"role": "user", "content": f"Title for:\nUser: Fix it.\nAssistant: {COMMANDS[0]}"}
    say(session, [{"role": "system", "content": "You write titles."}, asked])
    assert boundary(gateway, session) == ("title", "title")


def test_a_summary_under_the_same_instructions_without_tools_is_a_compaction(gateway: Gateway) -> None:
    session, messages, _ = worked(gateway)
    asked = [*messages, {"role": "user", "content": "Hand over."}]
    answer = say(session, asked)
    say(session, [*asked, answer, USER])
    assert boundary(gateway, session) == ("compaction", "compaction")


def test_the_same_conversation_with_other_tools_is_a_mode(gateway: Gateway) -> None:
    session, messages, _ = worked(gateway)
    other = [{"type": "function", "function": {"name": "read", "parameters": {"type": "object"}}}]
    say(session, [*messages, {"role": "user", "content": "Plan."}], tools=other)
    assert boundary(gateway, session) == ("mode", "mode")


def test_a_history_without_sampled_turns_is_a_compaction(gateway: Gateway) -> None:
    session, messages, _ = worked(gateway)
    say(session, [SYSTEM, USER, {"role": "user", "content": "Summary: much was read."}, *messages[-2:]], tools=TOOLS)
    assert boundary(gateway, session) == ("compaction", "compaction")


def test_a_note_that_changes_each_turn_is_no_compaction(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: bash_call(COMMANDS[n]) if n < 2 else "Done.")
    session = opened(gateway, engine)
    messages: list[Message] = [SYSTEM, USER]
    for number in range(3):
        answer = say(session, [*messages, {"role": "user", "content": f"Note {number}: none."}], tools=TOOLS)
        messages.append(answer)
        for call in answer.get("tool_calls", []):
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": "[exit 0]\nx"})
    trace = gateway.close_session(session)
    assert {node.boundary for node in trace.nodes} == {"none"}
    assert [trace.nodes[call.node or 0].lineage for call in trace.calls] == ["main", "branch-1", "branch-2"]


def test_another_thread_is_a_sub_agent(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: f"answer {n}")
    session = opened(gateway, engine)
    post(session, {"messages": [SYSTEM, USER], "tools": TOOLS}, thread_id="one")
    post(session, {"messages": [SYSTEM, {"role": "user", "content": "Look."}], "tools": TOOLS}, thread_id="two")
    assert boundary(gateway, session) == ("subagent", "subagent")


# ------------------------------------------------------------------ what clients do to what they were given


def test_a_call_is_known_by_the_letters_and_digits_of_its_id(gateway: Gateway) -> None:
    session, messages, engine = worked(gateway, 1)
    answer, result = json.loads(json.dumps(messages[-2:]))
    plain = "".join(filter(str.isalnum, answer["tool_calls"][0]["id"]))
    assert plain != answer["tool_calls"][0]["id"]
    answer["tool_calls"][0]["id"] = result["tool_call_id"] = plain
    say(session, [SYSTEM, USER, answer, result], tools=TOOLS)
    trace = gateway.close_session(session)
    assert {node.lineage for node in trace.nodes} == {"main"}
    before = engine.seen[0][0] + engine.seen[0][1]
    assert engine.seen[1][0][: len(before)] == before, "the sampled ids stay"


def test_the_outcome_of_a_call_is_found_where_it_was_sampled(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: bash_call("ls") if n == 0 else "Done.")
    told = {"[exit 0]\nx": "ok"}
    session = opened(gateway, engine, rules=lambda text: told[text])  # type: ignore[arg-type, return-value]
    answer = say(session, [SYSTEM, USER], tools=TOOLS)
    result = {"role": "tool", "tool_call_id": answer["tool_calls"][0]["id"], "content": "[exit 0]\nx"}
    say(session, [SYSTEM, {"role": "user", "content": "Summary."}, answer, result], tools=TOOLS)
    trace = gateway.close_session(session)
    sampled = trace.nodes[trace.calls[0].node or 0]
    assert sampled.tool_calls[0].outcome == "ok", "though its copy stands in another branch"


def test_a_prompt_that_is_too_long_refuses_that_call_alone(gateway: Gateway) -> None:

    engine = FakeEngine(lambda n: "Done.")
    session = opened(gateway, engine, caps=replace(CAPS, context=200))
    status, answer = post(session, {"messages": [{"role": "user", "content": "word " * 400}]})
    assert status == 400 and answer["error"]["code"] == "context_length_exceeded"
    assert say(session, [USER])["content"] == "Done.", "the agent has shortened its history and goes on"
    trace = gateway.close_session(session)
    assert trace.stop is None and [bool(call.error) for call in trace.calls] == [True, False]


def test_tools_of_a_namespace_are_called_in_it(gateway: Gateway) -> None:
    engine = FakeEngine(lambda n: bash_call("ls"))
    session = opened(gateway, engine)
    inner = {"type": "function", "name": "bash", "parameters": {"type": "object"}}
    tools = [{"type": "namespace", "name": "shell", "tools": [inner]}]
    connection = Socket(str(session.socket))
    body = json.dumps({"input": "Look.", "tools": tools})
    connection.request("POST", "/v1/responses", body, {"Authorization": f"Bearer {session.key}"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    (call,) = [item for item in answer["output"] if item["type"] == "function_call"]
    assert (call["name"], call["namespace"]) == ("bash", "shell")
    shown = engine.chat.decode(engine.seen[0][0])
    assert '"name": "bash"' in shown and "namespace" not in shown
