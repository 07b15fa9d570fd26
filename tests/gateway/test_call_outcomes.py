"""What became of a tool call: by its request's schemas, by what the agent says, by exit statuses; else unknown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from katcore.gateway.server import Gateway
from katcore.gateway.session import Session
from katcore.records import Outcome, ToolCall
from katcore.scaffold.command_agent import CommandAgent
from katcore.scaffold.outcomes import of_call, of_result
from katcore.scaffold.table import rows
from tests.support.gateway_fakes import FakeEngine, Socket, bash_call, opened

EDIT = {"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path", "old", "new"]}
DIALECTS = ("chat", "messages", "responses", "gemini")


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def ask(session: Session, path: str, body: dict[str, Any]) -> dict[str, Any]:
    connection = Socket(str(session.socket))
    connection.request("POST", path, json.dumps(body), {"x-api-key": session.key})
    response = connection.getresponse()
    answer: dict[str, Any] = json.loads(response.read())
    connection.close()
    assert response.status == 200, answer
    return answer


def worked(gateway: Gateway, dialect: str, said: str, result: str, *, error: bool = False, **more: Any) -> ToolCall:
    """The record of a call that the model made, after its result came back in that dialect."""
    session = opened(gateway, FakeEngine(lambda n: said if n == 0 else "Done."), **more)
    schemas = {"bash": {"type": "object", "properties": {}, "required": ["command"]}, "edit": EDIT}
    if dialect == "chat":
        tools = [{"type": "function", "function": {"name": n, "parameters": s}} for n, s in schemas.items()]
        user = {"role": "user", "content": "Fix it."}
        first = ask(session, "/v1/chat/completions", {"messages": [user], "tools": tools})["choices"][0]["message"]
        back = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": result}
        ask(session, "/v1/chat/completions", {"messages": [user, first, back], "tools": tools})
    elif dialect == "messages":
        shown = [{"name": n, "input_schema": s} for n, s in schemas.items()]
        user = {"role": "user", "content": "Fix it."}
        blocks = ask(session, "/v1/messages", {"messages": [user], "tools": shown, "max_tokens": 99})["content"]
        use = next(block["id"] for block in blocks if block["type"] == "tool_use")
        given = {"type": "tool_result", "tool_use_id": use, "content": result} | ({"is_error": True} if error else {})
        turns = [user, {"role": "assistant", "content": blocks}, {"role": "user", "content": [given]}]
        ask(session, "/v1/messages", {"messages": turns, "tools": shown, "max_tokens": 99})
    elif dialect == "gemini":
        path = "/v1beta/models/m:generateContent"
        declared = [{"name": n, "parametersJsonSchema": s} for n, s in schemas.items()]
        given = {"tools": [{"functionDeclarations": declared}]}
        start = {"role": "user", "parts": [{"text": "Fix it."}]}
        content = ask(session, path, {"contents": [start], **given})["candidates"][0]["content"]
        used = next(part["functionCall"] for part in content["parts"] if "functionCall" in part)
        back = {"name": used["name"], "response": {"error" if error else "output": result}}
        reply = {"role": "user", "parts": [{"functionResponse": back | ({"id": used["id"]} if "id" in used else {})}]}
        ask(session, path, {"contents": [start, content, reply], **given})
    else:
        shown = [{"type": "function", "name": n, "parameters": s} for n, s in schemas.items()]
        begin = {"type": "message", "role": "user", "content": "Fix it."}
        items = ask(session, "/v1/responses", {"input": [begin], "tools": shown})["output"]
        identity = next(item["call_id"] for item in items if item["type"] == "function_call")
        back = {"type": "function_call_output", "call_id": identity, "output": result}
        ask(session, "/v1/responses", {"input": [begin, *items, back], "tools": shown})
    trace = gateway.close_session(session)
    return trace.nodes[trace.calls[0].node or 0].tool_calls[0]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("said", "result", "outcome", "by"),
    [
        (call("edit", path="a", old="x", new="y"), "No match was found for the old text.", None, None),
        (bash_call("ls"), "a.py\nb.py", None, None),
        (call("delete", path="a"), "There is no such tool.", "unknown_tool", "schema"),
        (call("edit", path="a"), "Something went wrong.", "invalid_arguments", "schema"),
        (bash_call("false"), "Exit code 1", "nonzero_exit", "exit_status"),
        (bash_call("true"), "fine\n<exited with exit code 0>", "ok", "exit_status"),
        (bash_call("sleep 9"), "Error: command timed out after 2 s", "timeout", "exit_status"),
    ],
)
def test_without_rules_of_an_agent(
    gateway: Gateway, dialect: str, said: str, result: str, outcome: str | None, by: str | None
) -> None:
    found = worked(gateway, dialect, said, result)
    assert (found.outcome, found.outcome_by) == (outcome, by)


@pytest.mark.parametrize("dialect", ["messages", "gemini"])
def test_an_error_of_a_dialect_that_marks_errors_is_one(gateway: Gateway, dialect: str) -> None:
    found = worked(gateway, dialect, bash_call("ls"), "No such file", error=True)
    assert (found.outcome, found.outcome_by) == ("tool_error", "agent")


def test_an_error_with_an_exit_status_is_a_command_that_failed(gateway: Gateway) -> None:
    found = worked(gateway, "messages", bash_call("ls"), "Exit code 2\nno", error=True)
    assert (found.outcome, found.outcome_by) == ("nonzero_exit", "exit_status")


def test_a_rule_that_says_ok_does_not_overrule_the_schema_or_the_agent(gateway: Gateway) -> None:
    def fine(result: str) -> Outcome:
        return "ok"

    assert worked(gateway, "chat", bash_call("ls"), "x", rules=fine).outcome == "ok"
    assert worked(gateway, "chat", call("edit", path="a"), "x", rules=fine).outcome == "invalid_arguments"
    assert worked(gateway, "messages", bash_call("ls"), "x", error=True, rules=fine).outcome == "tool_error"


def test_a_row_without_rules_says_nothing() -> None:
    table = json.dumps(
        {"mine": {"program": ["x"], "args": []}, "sure": {"program": ["x"], "args": [], "outcomes": {"": "ok"}}}
    )
    known = rows(table)
    assert CommandAgent("mine", known["mine"]).outcome("No such file") is None
    assert CommandAgent("sure", known["sure"]).outcome("anything") == "ok"


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Exit code: 1\nWall time: 0.1 seconds", "nonzero_exit"),
        ("Chunk ID: 1\nWall time: 0.1 seconds\nProcess exited with code 0\nOutput:", "ok"),
        ("out\n\n(Command exited with code 7)", "nonzero_exit"),
        ("Command exited with code 1", "nonzero_exit"),
        ("[exit 2]\n", "nonzero_exit"),
        ('{"returncode": 0, "output": "x"}', "ok"),
        ("<returncode>1</returncode>", "nonzero_exit"),
        ("Return code: 3", "nonzero_exit"),
        ("out\n[The command completed with exit code 1.]", "nonzero_exit"),
        ("Command failed with exit code 1: make", "nonzero_exit"),
        ("exit status: 2", "nonzero_exit"),
        ("Exit Code: 0\nSignal: (none)", "ok"),
        ("def exit_code(): return 1", None),
        ("the tests say that exit code 1 is right", None),
        ("one\ntwo\nthree\nfour exit code 1\nExit code: 1\nsix\nseven\neight\nnine", None),
        ("", None),
    ],
)
def test_exit_statuses_as_agents_print_them(text: str, outcome: str | None) -> None:
    found = of_result(text, None)
    assert (found and found[0]) == outcome


@pytest.mark.parametrize(
    ("arguments", "outcome"),
    [
        ('{"command": "ls"}', None),
        ('{"command": null}', None),
        ("{}", "invalid_arguments"),
        ("", "invalid_arguments"),
        ("[1]", "invalid_arguments"),
        ("{bad", "invalid_arguments"),
        ("[" * 200_000, "invalid_arguments"),
    ],
)
def test_arguments_against_the_schema(arguments: str, outcome: str | None) -> None:
    tools = [{"type": "function", "function": {"name": "bash", "parameters": {"required": ["command"]}}}]
    found = of_call("bash", arguments, tools)
    assert (found and found[0]) == outcome
    assert of_call("bash", arguments, None) is None, "where no tools were shown nothing is known of them"


@pytest.mark.parametrize("parameters", [None, {}, [], {"required": None}, {"required": [1]}])
def test_a_schema_that_says_nothing(parameters: Any) -> None:
    assert of_call("bash", "{}", [{"type": "function", "function": {"name": "bash", "parameters": parameters}}]) is None
