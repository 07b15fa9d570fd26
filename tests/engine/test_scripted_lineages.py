"""A script whose lines say which branch they answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from katcore.engine.scripted import script
from katcore.gateway.model import ScriptedModel
from katcore.gateway.server import Gateway
from katcore.model.folder import load
from katcore.records import Task, TaskSource
from tests.support.gateway_fakes import opened, say

TOOLS = [{"type": "function", "function": {"name": "bash", "parameters": {"type": "object"}}}]
SYSTEM, USER = {"role": "system", "content": "You are an agent."}, {"role": "user", "content": "Fix it."}
TASK = Task(
    instance_id="t", repo="t", base_commit="0", created_at="2024-01-01T00:00:00Z", source=TaskSource(kind="inline")
)


def tool(command: str) -> dict[str, Any]:
    arguments = json.dumps({"command": command})
    return {"role": "assistant", "tool_calls": [{"function": {"name": "bash", "arguments": arguments}}]}


@pytest.mark.parametrize("title_first", [True, False])
def test_a_title_does_not_use_up_what_the_agent_is_told(tmp_path: Path, title_first: bool) -> None:
    lines = [
        {"lineage": "main", "messages": [tool("one"), tool("two")]},
        {"lineage": "title", "messages": [{"content": "A title"}]},
    ]
    (tmp_path / "script.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = ScriptedModel(script(f"scripted:{tmp_path / 'script.jsonl'}"), load(), TASK, 0)
    title = [{"role": "system", "content": "You write titles."}, USER]
    with Gateway(tmp_path / "journal") as gateway:
        session = opened(gateway, model)
        if title_first:
            assert say(session, title)["content"] == "A title"
        first = say(session, [SYSTEM, USER], tools=TOOLS)
        if not title_first:
            assert say(session, title)["content"] == "A title"
        result = {"role": "tool", "tool_call_id": first["tool_calls"][0]["id"], "content": "x"}
        second = say(session, [SYSTEM, USER, first, result], tools=TOOLS)
        commands = [json.loads(each["tool_calls"][0]["function"]["arguments"])["command"] for each in (first, second)]
        assert commands == ["one", "two"]


def test_a_line_without_a_lineage_counts_all_calls(tmp_path: Path) -> None:
    (tmp_path / "script.jsonl").write_text(json.dumps({"messages": [{"content": "1"}, tool("two")]}) + "\n")
    model = ScriptedModel(script(f"scripted:{tmp_path / 'script.jsonl'}"), load(), TASK, 0)
    with Gateway(tmp_path / "journal") as gateway:
        session = opened(gateway, model)
        assert say(session, [{"role": "system", "content": "Titles."}, USER])["content"] == "1"
        assert say(session, [SYSTEM, USER], tools=TOOLS)["tool_calls"]
